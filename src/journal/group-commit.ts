import { fullJitter } from "../base/backoff.ts";
import { errorFields, FieldgateError } from "../base/errors.ts";
import { Watched } from "../base/watchable.ts";
import { Batch, type Contributor } from "./batch.ts";
import type { JournalCounters } from "./counters.ts";
import type { JournalState } from "./journal.ts";
import type { JournalOptions, JournalTools } from "./options.ts";
import { RecentTimes } from "./recent-times.ts";
import { type Store, StoreDamage } from "./store.ts";

/**
 * The group commit: one write on its way to the disk, and while it is, the next one gathers.
 *
 *     want() ──▶ end of the turn ──▶ contributors fill a batch ──▶ write ──▶ settled, waiters, listeners ──▶ again if wanted
 *                                                                   │ ▲
 *                                                            failed ▼ │ after a delay: close, open, the same batch again
 *
 * A batch that failed is written again, unchanged: it may be on disk already, and then it says the same thing twice.
 */
export class GroupCommit {
  readonly state = new Watched<JournalState>({ at: "closed" });
  /** From handing a batch to the store until it was durable, failed attempts included. */
  readonly times = new RecentTimes();
  readonly #store: Store;
  readonly #relieve: (error: unknown) => Promise<boolean>;
  readonly #options: JournalOptions;
  readonly #tools: JournalTools;
  readonly #counters: JournalCounters;
  readonly #contributors: Contributor[] = [];
  readonly #listeners = new Set<() => void>();
  readonly #lasts = new Set<() => void>();

  #wanted = false;
  #scheduled = false;
  #gathering: Deferred | null = null;
  #writing: Deferred | null = null;
  #isWriting = false;
  #wantedLater = false;
  #isTiming = false;
  #timers = new AbortController();
  readonly #killed = new AbortController();
  #life: "idle" | "running" | "stopping" | "dead" = "idle";

  /** @param parts.relieve is told of each failure; true when it has made room for another attempt */
  constructor(
    parts: { readonly store: Store; readonly relieve: (error: unknown) => Promise<boolean> },
    options: JournalOptions,
    tools: JournalTools,
    counters: JournalCounters,
  ) {
    this.#store = parts.store;
    this.#relieve = parts.relieve;
    this.#options = options;
    this.#tools = tools;
    this.#counters = counters;
  }

  /** Begins to commit for these, who are asked in this order. The store is open. */
  start(contributors: readonly Contributor[]): void {
    this.#contributors.push(...contributors);
    this.#timers = new AbortController();
    this.#life = "running";
    this.state.set({ at: "open" });
    if (this.#wantedLater) this.wantLater();
    if (this.#wanted) this.#schedule();
  }

  get running(): boolean {
    return this.#life === "running";
  }

  /** There is something to write, with the next commit. */
  want(): void {
    if (this.#wanted) return;
    this.#wanted = true;
    this.#schedule();
  }

  /** There is something to write, with the next commit, or within `cursorDelayMs` if none comes. */
  wantLater(): void {
    if (this.#wanted) return;
    this.#wantedLater = true;
    if (this.#isTiming || this.#life !== "running") return;
    this.#isTiming = true;
    const timer = this.#tools.clock.sleep(this.#options.cursorDelayMs, this.#timers.signal);
    timer.then(
      () => {
        this.#isTiming = false;
        if (this.#wantedLater) this.want();
      },
      () => {},
    );
  }

  /**
   * Resolves when everything handed over up to now is durable.
   * @throws FieldgateError ERR_STORE_CLOSED when that will not happen any more
   */
  flush(): Promise<void> {
    return this.running ? this.#flush() : Promise.reject(closed());
  }

  #flush(): Promise<void> {
    if (this.#wantedLater) this.want();
    if (this.#wanted) {
      this.#gathering ??= new Deferred();
      return this.#gathering.promise;
    }
    if (!this.#isWriting) return Promise.resolve();
    this.#writing ??= new Deferred();
    return this.#writing.promise;
  }

  onCommit(listener: () => void): () => void {
    const own = () => listener();
    this.#listeners.add(own);
    return () => this.#listeners.delete(own);
  }

  /** Calls `listener` before each commit is made: what it hands over belongs to that commit still. */
  beforeCommit(listener: () => void): () => void {
    const own = () => listener();
    this.#lasts.add(own);
    return () => this.#lasts.delete(own);
  }

  /** Writes what is left. While writes fail, tries once more and gives up. */
  async stop(): Promise<void> {
    if (this.#life !== "running") return;
    const flushed = this.#flush();
    this.#life = "stopping";
    this.#timers.abort();
    try {
      await flushed;
    } finally {
      this.kill();
    }
  }

  /** Ends at once: what is not durable is lost, and whoever waits for it is told. */
  kill(): void {
    if (this.#life === "dead") return;
    this.#life = "dead";
    this.#timers.abort();
    this.#killed.abort();
    this.#gathering?.reject(closed());
    this.#writing?.reject(closed());
    this.#listeners.clear();
    this.state.set({ at: "closed" });
  }

  #schedule(): void {
    if (this.#scheduled || this.#isWriting || this.#life === "idle" || this.#life === "dead")
      return;
    this.#scheduled = true;
    const { clock } = this.#tools;
    const atEndOfTurn = () => clock.afterTurn(this.#commit);
    if (this.#options.commitDelayMs === 0) atEndOfTurn();
    else
      clock.sleep(this.#options.commitDelayMs, this.#timers.signal).then(atEndOfTurn, atEndOfTurn);
  }

  readonly #commit = (): void => {
    this.#scheduled = false;
    if (this.#life === "dead" || !this.#wanted) return;
    for (const last of this.#lasts) last();
    const batch = new Batch();
    for (const contributor of this.#contributors) contributor.contribute(batch);
    this.#wanted = false;
    this.#wantedLater = false;
    this.#writing = this.#gathering;
    this.#gathering = null;
    this.#isWriting = true;
    void this.#write(batch);
  };

  async #write(batch: Batch): Promise<void> {
    const begunMs = this.#tools.clock.monotonicMs();
    try {
      if (batch.changes.length > 0) await this.#untilWritten(batch);
    } catch (error) {
      this.#isWriting = false;
      this.#gathering?.reject(error);
      this.#writing?.reject(error);
      return;
    }
    this.#isWriting = false;
    if (this.#life === "dead") return;
    this.#count(batch, begunMs);
    for (const settle of batch.settled) settle();
    const waiters = this.#writing;
    this.#writing = null;
    waiters?.resolve();
    for (const listener of this.#listeners) listener();
    if (this.#wanted) this.#schedule();
  }

  #count(batch: Batch, begunMs: number): void {
    if (batch.changes.length === 0) return;
    this.times.add(this.#tools.clock.monotonicMs() - begunMs);
    this.#counters.commits++;
    if (this.#options.durability !== "fast") this.#counters.syncs++;
    this.#counters.bytesWritten += batch.bytes;
  }

  async #untilWritten(batch: Batch): Promise<void> {
    const sync = this.#options.durability !== "fast";
    for (let attempt = 1; ; attempt++) {
      try {
        if (attempt > 1 || this.#store.damage.wantsMending) await this.#reopen();
        await this.#store.write(batch.changes, sync);
        if (attempt > 1) {
          this.#tools.log.info("the store takes writes again", { attempts: attempt });
          if (this.#life !== "dead") this.state.set({ at: "open" });
        }
        return;
      } catch (error) {
        this.#counters.writeErrors++;
        if (this.#life === "dead" || (this.#life === "stopping" && attempt > 1)) {
          throw new FieldgateError("ERR_STORE_WRITE", "the last entries could not be written", {
            cause: error,
          });
        }
        if (await this.#relieve(error)) this.#tell(attempt, 0, error);
        else await this.#rest(attempt, error);
      }
    }
  }

  /** LevelDB refuses every write after one that failed, until it is closed and opened again. */
  async #reopen(): Promise<void> {
    const { damage } = this.#store;
    await this.#store.close();
    // Its readers find out what is missing, by the sequences.
    const { signal } = this.#killed;
    if (damage.wantsMending && !(await this.#store.mend(async () => true, signal))) {
      throw new StoreDamage(
        "the store is damaged and cannot be repaired while it is in use: start the gateway again",
      );
    }
    await this.#store.open();
  }

  async #rest(attempt: number, error: unknown): Promise<void> {
    const { clock, random } = this.#tools;
    const delayMs = 1 + fullJitter(attempt, this.#options.retry, random);
    this.#tell(attempt, delayMs, error);
    await clock.sleep(delayMs, this.#timers.signal).catch(() => {});
  }

  #tell(attempt: number, delayMs: number, error: unknown): void {
    const { clock, log } = this.#tools;
    const cause = error instanceof Error ? error : new Error(String(error));
    log.error("a write failed: nothing is acknowledged until the store takes writes again", {
      attempt,
      delayMs,
      ...errorFields(cause),
    });
    this.state.set({ at: "failed", error: cause, retryAtMs: clock.monotonicMs() + delayMs });
  }
}

function closed(): FieldgateError {
  return new FieldgateError("ERR_STORE_CLOSED", "the store is closed: this was not kept");
}

class Deferred {
  readonly promise: Promise<void>;
  #settle: { resolve: () => void; reject: (error: unknown) => void } | null = null;

  constructor() {
    this.promise = new Promise((resolve, reject) => {
      this.#settle = { resolve, reject };
    });
    // Whoever waits hears of a failure through its own chain; nobody waiting is no crash.
    this.promise.catch(() => {});
  }

  resolve(): void {
    this.#settle?.resolve();
  }

  reject(error: unknown): void {
    this.#settle?.reject(error);
  }
}
