import type { Clock } from "../base/clock.ts";
import { errorFields, FieldgateError } from "../base/errors.ts";
import type { Log } from "../base/log.ts";
import type { Random } from "../base/random.ts";
import type { Service } from "../base/service.ts";
import type { ClusterConfig } from "../config/schema.ts";
import { etcdOf } from "./etcd-cluster.ts";
import { EtcdMirror } from "./etcd-mirror.ts";
import type { Etcd } from "./etcd-port.ts";
import { timingOf } from "./timing.ts";

export interface SettingsTools {
  readonly clock: Clock;
  readonly log: Log;
  readonly random: Random;
  readonly identity: { readonly gateway: string; readonly site: string };
  /** What was in force at the start: by path, as YAML. */
  readonly lastGood: Readonly<Record<string, string>>;
  /**
   * Lays the settings over the file.
   * @throws FieldgateError with `details.refused` when they are refused: then nothing has changed
   */
  readonly lay: (settings: Readonly<Record<string, string>>) => Promise<Effect>;
  /** Instead of the one that the options name: for tests. */
  readonly etcd?: Etcd;
}

export interface Effect {
  readonly applied: readonly string[];
  readonly waiting: readonly string[];
}

export interface SettingsStatus {
  /** Paths that lie over the file. */
  readonly keys: readonly string[];
  /** What takes effect at the next start. */
  readonly waiting: readonly string[];
  /** Why what etcd says is not in force; null when it is. */
  readonly error: Readonly<Record<string, unknown>> | null;
  /** etcd has lost what lies over the file: it stays in force. */
  readonly isOrphaned: boolean;
}

const REPORT_RETRY_MS = 2000;

/**
 * The configuration that all gateways of a site share, in etcd, as YAML:
 *
 *   fieldgate/SITE/config/PATH          for every gateway, such as config/log.level
 *   fieldgate/SITE/config/ID/PATH       for one gateway, before the other one
 *   fieldgate/SITE/config-report/ID     what that gateway has made of it
 *
 * It is taken whole or not at all. An etcd that was wiped takes nothing back: what no key says any more is given up only when the keys
 * were seen to be deleted.
 */
export class EtcdSettings implements Service {
  readonly name = "settings";
  readonly #options: ClusterConfig;
  readonly #tools: SettingsTools;
  readonly #log: Log;
  readonly #life = new AbortController();
  #etcd: Etcd | null = null;
  #mirror: EtcdMirror | null = null;
  #seen: string | null = null;
  #generation = 0;
  #work: Promise<void> = Promise.resolve();
  #status: SettingsStatus;

  constructor(options: ClusterConfig, tools: SettingsTools) {
    this.#options = options;
    this.#tools = tools;
    this.#log = tools.log.part("settings");
    const keys = Object.keys(tools.lastGood).sort();
    this.#status = { keys, waiting: [], error: null, isOrphaned: false };
  }

  /** Does not wait for etcd. */
  async start(): Promise<void> {
    const { clock, random, identity, etcd } = this.#tools;
    const { primaryTtlSeconds } = this.#options;
    this.#etcd = etcd ?? etcdOf(this.#options, clock, timingOf(primaryTtlSeconds));
    const changed = () => this.#look();
    const tools = { clock, random, log: this.#log, changed };
    this.#mirror = new EtcdMirror(this.#etcd, `fieldgate/${identity.site}/config/`, tools);
    this.#mirror.start();
  }

  async stop(): Promise<void> {
    this.#life.abort();
    await this.#mirror?.stop();
    await this.#work;
    this.#etcd?.close();
  }

  status(): SettingsStatus {
    return this.#status;
  }

  #look(): void {
    const mirror = this.#mirror;
    if (mirror === null || this.#life.signal.aborted) return;
    const settings = this.#settings(mirror);
    const text = JSON.stringify(Object.entries(settings).sort());
    const isDeleted = this.#seen !== null && mirror.generation === this.#generation;
    const isEmpty = Object.keys(settings).length === 0;
    this.#generation = mirror.generation;
    if (isEmpty && !isDeleted && this.#status.keys.length > 0) {
      this.#status = { ...this.#status, isOrphaned: true };
      this.#log.warn("etcd has no configuration for the site any more: what it was stays in force");
      return;
    }
    if (text === this.#seen) return;
    this.#seen = text;
    this.#work = this.#work.then(() => this.#apply(settings));
  }

  /** By path; what is meant for this gateway alone goes before what is meant for all. */
  #settings(mirror: EtcdMirror): Readonly<Record<string, string>> {
    const { gateway, site } = this.#tools.identity;
    const prefix = `fieldgate/${site}/config/`;
    const entries = [...mirror.entries.values()].map(
      ({ key, value }) => [key.slice(prefix.length), value] as const,
    );
    const own = `${gateway}/`;
    return Object.fromEntries([
      ...entries.filter(([path]) => !path.includes("/")),
      ...entries
        .filter(([path]) => path.startsWith(own))
        .map(([path, value]) => [path.slice(own.length), value] as const),
    ]);
  }

  async #apply(settings: Readonly<Record<string, string>>): Promise<void> {
    const keys = Object.keys(settings).sort();
    try {
      const { applied, waiting } = await this.#tools.lay(settings);
      this.#status = { keys, waiting, error: null, isOrphaned: false };
      this.#log.info("the site's configuration is in force", { keys, applied, waiting });
    } catch (cause) {
      const error = asRefusal(cause);
      this.#status = { ...this.#status, error: errorFields(error), isOrphaned: false };
      this.#log.error(
        "the site's configuration is refused: nothing has changed",
        errorFields(error),
      );
    }
    void this.#report();
  }

  /** Tells in etcd what became of it, until etcd has taken it or there is something newer to tell. */
  async #report(): Promise<void> {
    const { clock, identity } = this.#tools;
    const key = `fieldgate/${identity.site}/config-report/${identity.gateway}`;
    const status = this.#status;
    const { keys, waiting, error } = status;
    const value = JSON.stringify({ inForce: keys, waiting, refused: error });
    while (status === this.#status && !this.#life.signal.aborted) {
      const isTaken = await this.#etcd?.commit([], [{ key, value }]).catch(() => false);
      if (isTaken) return;
      await clock.sleep(REPORT_RETRY_MS, this.#life.signal).catch(() => undefined);
    }
  }
}

function asRefusal(cause: unknown): FieldgateError {
  if (cause instanceof FieldgateError) return cause;
  const message = "the site's configuration could not be applied";
  return new FieldgateError("ERR_CONFIG_INVALID", message, { cause });
}
