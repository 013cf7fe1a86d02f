import { randomUUID } from "node:crypto";
import type { Clock } from "../base/clock.ts";
import { errorFields } from "../base/errors.ts";
import type { Log } from "../base/log.ts";
import type { Service } from "../base/service.ts";
import { hostWrites } from "./host-writes.ts";
import { type FlashLife, flashLife, newWear, observe, type Wear } from "./wear.ts";

/** Of a gateway that has just begun nothing is known otherwise: it is looked as often as it is old. */
const SAMPLE_MS_MIN = 1000;
const SAMPLE_MS_MAX = 60_000;
/** The sums are written this often, and at the stop: it costs flash too. */
const KEEP_MS = 3_600_000;
const KEY = "wear";
const FORMAT = 1;

export interface FlashWearTools {
  readonly clock: Clock;
  readonly log: Log;
  /** The journal's key space for it. */
  readonly rows: {
    get(key: string): Promise<Uint8Array | undefined>;
    put(key: string, value: Uint8Array): Promise<void>;
  };
  /** Of this run: messages that became durable, and the bytes of their topics and payloads. */
  readonly counted: () => { readonly messages: number; readonly messageBytes: number };
}

/**
 * Counts what is written to the device for the messages that are kept, over all runs since the journal began, and says how
 * long the card lasts. Where the machine tells nothing, nothing is told.
 */
export class FlashWear implements Service {
  readonly name = "flash wear";
  readonly #path: string;
  readonly #enduranceBytes: number | null;
  readonly #tools: FlashWearTools;
  readonly #run = randomUUID();
  readonly #stopped = new AbortController();
  #wear: Wear | null = null;
  #startedMs = 0;
  #keptMs = 0;
  #running: Promise<void> = Promise.resolve();

  /** @param options.enduranceBytes what the maker states that can be written to the card; null: not stated */
  constructor(
    options: { readonly path: string; readonly enduranceBytes: number | null },
    tools: FlashWearTools,
  ) {
    this.#path = options.path;
    this.#enduranceBytes = options.enduranceBytes;
    this.#tools = tools;
  }

  /** As of the last sample, at most a minute old; null before the first. */
  get life(): FlashLife | null {
    if (this.#wear === null) return null;
    return flashLife(this.#wear, this.#enduranceBytes);
  }

  async start(): Promise<void> {
    this.#startedMs = this.#tools.clock.monotonicMs();
    this.#keptMs = this.#startedMs;
    this.#wear = await this.#load();
    await this.sample();
    this.#running = this.#sampleAndRest();
  }

  async stop(): Promise<void> {
    this.#stopped.abort();
    await this.#running;
    await this.sample();
    await this.#keep();
  }

  /** Looks now. */
  async sample(): Promise<void> {
    const { clock, counted } = this.#tools;
    const writes = await hostWrites(this.#path);
    const runMs = clock.monotonicMs() - this.#startedMs;
    const counts = { ...writes, run: this.#run, runMs, ...counted() };
    this.#wear =
      this.#wear === null ? newWear(counts, clock.wallMs()) : observe(this.#wear, counts);
  }

  async #sampleAndRest(): Promise<void> {
    const { clock } = this.#tools;
    const { signal } = this.#stopped;
    for (;;) {
      const runMs = clock.monotonicMs() - this.#startedMs;
      const restMs = Math.min(SAMPLE_MS_MAX, Math.max(SAMPLE_MS_MIN, runMs));
      await clock.sleep(restMs, signal).catch(() => {});
      if (signal.aborted) return;
      await this.sample();
      if (clock.monotonicMs() - this.#keptMs >= KEEP_MS) await this.#keep();
    }
  }

  /** What cannot be read is counted anew. */
  async #load(): Promise<Wear | null> {
    try {
      const row = await this.#tools.rows.get(KEY);
      if (row === undefined) return null;
      const { format, wear } = JSON.parse(Buffer.from(row).toString());
      return format === FORMAT ? (wear as Wear) : null;
    } catch (error) {
      this.#tools.log.warn("what was written so far is not known; it is counted anew", {
        ...errorFields(error),
      });
      return null;
    }
  }

  async #keep(): Promise<void> {
    const { clock, log, rows } = this.#tools;
    this.#keptMs = clock.monotonicMs();
    const text = JSON.stringify({ format: FORMAT, wear: this.#wear });
    await rows.put(KEY, Buffer.from(text)).catch((error) => {
      log.warn("what was written to the device could not be kept", errorFields(error));
    });
  }
}
