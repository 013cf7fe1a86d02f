import { FieldgateError } from "../base/errors.ts";
import type { JournalCounters } from "./counters.ts";
import type { Store } from "./store.ts";

/** Beyond bytesMax, for rows and positions: so that a full gateway can still acknowledge, delete and report. */
const RESERVE_SHARE = 1 / 16;

/** How much room the store has: what was measured, and what was written since. */
export class Space {
  readonly #bytesMax: number;
  readonly #store: Store;
  readonly #counters: JournalCounters;
  #measuredBytes = 0;
  #writtenBefore = 0;

  constructor(bytesMax: number, store: Store, counters: JournalCounters) {
    this.#bytesMax = bytesMax;
    this.#store = store;
    this.#counters = counters;
  }

  get bytes(): number {
    return this.#measuredBytes + this.#counters.bytesWritten - this.#writtenBefore;
  }

  /** With what waits for the disk, as if it were there. */
  isFull(pendingBytes: number): boolean {
    return this.bytes + pendingBytes >= this.#bytesMax;
  }
  get isExhausted(): boolean {
    return this.bytes >= this.#bytesMax * (1 + RESERVE_SHARE);
  }

  async measure(): Promise<void> {
    const written = this.#counters.bytesWritten;
    this.#measuredBytes = await this.#store.measure();
    this.#writtenBefore = written;
  }

  refusal(): FieldgateError {
    this.#counters.refusedFull++;
    return new FieldgateError("ERR_STORE_FULL", "the store has reached store.bytesMax", {
      details: { bytesMax: this.#bytesMax },
    });
  }
}
