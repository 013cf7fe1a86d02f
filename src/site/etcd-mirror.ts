import { fullJitter } from "../base/backoff.ts";
import type { Clock } from "../base/clock.ts";
import { errorFields } from "../base/errors.ts";
import type { Log } from "../base/log.ts";
import type { Random } from "../base/random.ts";
import type { Etcd, EtcdChange, EtcdEntry, Listing } from "./etcd-port.ts";

const RELIST_MS = 10_000;
const BACKOFF = { firstMs: 100, maxMs: 1000 };

export interface MirrorTools {
  readonly clock: Clock;
  readonly log: Log;
  readonly random: Random;
  /** Called when it knows more than before. */
  readonly changed: () => void;
}

/**
 * What is under a prefix in etcd, as far as we know: a list, and what a watch has told since. A watch is never resumed:
 * after any trouble, and every 10 s without, the prefix is listed again and watched from there.
 *
 * What it shows never gets older, with one exception: an answer to a question that was asked after we knew a newer
 * revision means that etcd itself went back, wiped or restored. Then `generation` grows.
 */
export class EtcdMirror {
  readonly #etcd: Etcd;
  readonly #prefix: string;
  readonly #tools: MirrorTools;
  readonly #entries = new Map<string, EtcdEntry>();
  #revision = 0;
  #generation = 0;
  #stopping = new AbortController();
  #running: Promise<void> = Promise.resolve();
  /** Ends the present watch early. */
  #rewatch: () => void = () => {};
  #failing = false;

  constructor(etcd: Etcd, prefix: string, tools: MirrorTools) {
    this.#etcd = etcd;
    this.#prefix = prefix;
    this.#tools = tools;
  }

  get entries(): ReadonlyMap<string, EtcdEntry> {
    return this.#entries;
  }

  /** How often etcd went back, since the start. */
  get generation(): number {
    return this.#generation;
  }

  start(): void {
    this.#stopping = new AbortController();
    this.#running = this.#run(this.#stopping.signal);
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#rewatch();
    await this.#running;
  }

  /**
   * Afterwards it shows everything that was in etcd when this was called.
   * @throws FieldgateError ERR_ETCD when etcd does not answer
   */
  async refresh(): Promise<void> {
    const known = { revision: this.#revision, generation: this.#generation };
    this.#take(await this.#etcd.list(this.#prefix), known);
  }

  async #run(signal: AbortSignal): Promise<void> {
    for (let failures = 0; !signal.aborted; ) {
      try {
        await this.refresh();
        if (signal.aborted) return;
        const quiet = await this.#watchUntilTrouble();
        failures = quiet ? 0 : failures + 1;
        this.#failing = false;
      } catch (error) {
        failures++;
        if (!this.#failing) this.#tools.log.warn("etcd cannot be read", errorFields(error));
        this.#failing = true;
      }
      const { clock, random } = this.#tools;
      const waitMs = failures === 0 ? 0 : 1 + fullJitter(failures, BACKOFF, random);
      if (waitMs > 0) await clock.sleep(waitMs, signal).catch(() => undefined);
    }
  }

  /** @returns whether it was ended by us, not by trouble */
  async #watchUntilTrouble(): Promise<boolean> {
    const over = new AbortController();
    let quiet = true;
    const unwatch = this.#etcd.watch(this.#prefix, this.#revision + 1, {
      changed: (changes) => {
        if (!over.signal.aborted) this.#apply(changes);
      },
      trouble: (error) => {
        quiet = false;
        this.#tools.log.debug("watch ended", errorFields(error));
        over.abort();
      },
    });
    this.#rewatch = () => over.abort();
    await this.#tools.clock.sleep(RELIST_MS, over.signal).catch(() => undefined);
    over.abort();
    this.#rewatch = () => {};
    unwatch();
    return quiet;
  }

  #take(
    { revision, entries }: Listing,
    known: { readonly revision: number; readonly generation: number },
  ): void {
    if (known.generation !== this.#generation) return; // asked before it went back
    if (revision < known.revision) {
      this.#generation++;
      this.#tools.log.error("etcd went back: it was wiped or restored", {
        revision,
        knownRevision: known.revision,
      });
      this.#rewatch();
    } else if (revision < this.#revision) return; // overtaken by the watch
    this.#revision = revision;
    this.#entries.clear();
    for (const entry of entries) this.#entries.set(entry.key, entry);
    this.#tools.changed();
  }

  #apply(changes: readonly EtcdChange[]): void {
    const news = changes.filter((change) => revisionOf(change) > this.#revision);
    for (const change of news) {
      if ("put" in change) this.#entries.set(change.put.key, change.put);
      else this.#entries.delete(change.deleted);
      this.#revision = Math.max(this.#revision, revisionOf(change));
    }
    if (news.length > 0) this.#tools.changed();
  }
}

function revisionOf(change: EtcdChange): number {
  return "put" in change ? change.put.modRevision : change.revision;
}
