import { FieldgateError } from "../base/errors.ts";
import type { JournalCounters } from "./counters.ts";
import type { JournalRoom } from "./journal.ts";
import type { Store } from "./store.ts";

/** Beyond bytesMax, for rows and positions: so that a full gateway can still acknowledge, delete and report. */
const RESERVE_SHARE = 1 / 16;
/** From here on room is made for what comes, where a lane allows it. */
const TIGHT_SHARE = 7 / 8;
/** With less room than this on the disk, messages wait before a write fails: LevelDB needs some to give any back. */
const DISK_LOW_SHARE = 1 / 4;

/** LevelDB goes on merging files for so many looks after a write; then they stay as they are, and one look in so many is enough. */
const STILL_LOOKS = 5;
const STILL_EVERY = 30;

/** How much room the store has: what was measured, and what was written since; and the reserve on the disk. */
export class Space {
  readonly #bytesMax: number;
  readonly #store: Store;
  readonly #counters: JournalCounters;
  #measuredBytes = 0;
  #freeBytes = Number.POSITIVE_INFINITY;
  #writtenBefore = 0;
  #isDiskFull = false;
  /** In succession, with nothing written since the one before. */
  #stillLooks = 0;
  readonly #ending = new AbortController();
  #making: Promise<boolean> = Promise.resolve(false);

  constructor(bytesMax: number, store: Store, counters: JournalCounters) {
    this.#bytesMax = bytesMax;
    this.#store = store;
    this.#counters = counters;
  }

  get bytes(): number {
    return this.#measuredBytes + this.#writtenSince;
  }
  get freeBytes(): number {
    return Math.max(0, this.#freeBytes - this.#writtenSince);
  }

  /** With what waits for the disk, as if it were there. */
  isFull(pendingBytes: number): boolean {
    return this.#isDiskFull || this.bytes + pendingBytes >= this.#bytesMax;
  }
  get isExhausted(): boolean {
    return this.bytes >= this.#bytesMax * (1 + RESERVE_SHARE);
  }
  /** Nearly full: what may go should go now. */
  isTight(pendingBytes: number): boolean {
    return this.#isDiskFull || this.bytes + pendingBytes >= this.#bytesMax * TIGHT_SHARE;
  }
  /** Nearly full, and what can be given up would help. */
  get wantsRoom(): boolean {
    if (this.bytes >= this.#bytesMax * TIGHT_SHARE) return true;
    return this.#isDiskFull && this.#freeBytes < this.#enoughBytes;
  }
  get room(): JournalRoom {
    if (this.#isDiskFull) return "disk-full";
    return this.isFull(0) ? "full" : this.isTight(0) ? "tight" : "free";
  }

  /** As `measure`; the store itself is looked at seldom when nothing has been written for a while. */
  async look(): Promise<void> {
    const isStill = this.#counters.bytesWritten === this.#writtenBefore;
    this.#stillLooks = isStill ? this.#stillLooks + 1 : 0;
    const isKnown = this.#stillLooks > STILL_LOOKS && this.#stillLooks % STILL_EVERY !== 0;
    await this.measure(isKnown ? this.#measuredBytes : undefined);
  }

  /**
   * Looks at the store and its disk. The reserve is made again once there is room for it.
   * @param knownBytes of the store, when they are known
   */
  async measure(knownBytes?: number): Promise<void> {
    const written = this.#counters.bytesWritten;
    const { bytes, freeBytes } = await this.#store.measure(knownBytes);
    this.#measuredBytes = bytes;
    this.#freeBytes = freeBytes;
    this.#writtenBefore = written;
    const { reserve } = this.#store;
    const lowBytes = reserve.bytes * DISK_LOW_SHARE;
    if (freeBytes < lowBytes) this.#isDiskFull = true;
    if (freeBytes < this.#enoughBytes) return;
    // It takes a while: who measures does not wait for it, and finds it ready the next time.
    if (reserve.at !== "ready") this.#making = reserve.make(this.#ending.signal);
    else this.#isDiskFull = false;
  }

  /**
   * A write has failed. Where the disk is full, messages are refused from now on, and the reserve is given up for what
   * must still be written. True when that has made room.
   */
  async relieve(error: unknown): Promise<boolean> {
    if (!isNoSpace(error)) return false;
    this.#isDiskFull = true;
    return await this.#store.reserve.release().catch(() => false);
  }

  /** Resolves when the reserve is not made any further. */
  async end(): Promise<void> {
    this.#ending.abort();
    await this.#making;
  }

  refusal(): FieldgateError {
    this.#counters.refusedFull++;
    const message = this.#isDiskFull
      ? "the disk is full: free some of it"
      : "the store has reached store.bytesMax";
    const details = { bytesMax: this.#bytesMax, storeBytes: this.bytes };
    return new FieldgateError("ERR_STORE_FULL", message, { details });
  }

  /** With so much room on the disk, the reserve can be made again. */
  get #enoughBytes(): number {
    const { at, bytes } = this.#store.reserve;
    return (at === "absent" ? bytes : 0) + 2 * bytes * DISK_LOW_SHARE;
  }
  get #writtenSince(): number {
    return this.#counters.bytesWritten - this.#writtenBefore;
  }
}

/** LevelDB passes the system's words on, in the cause of a cause; Node has a code. */
function isNoSpace(error: unknown): boolean {
  for (let at = error; at instanceof Error; at = at.cause) {
    if ("code" in at && (at.code === "ENOSPC" || at.code === "EDQUOT")) return true;
    if (/No space left on device|Disk quota exceeded/.test(at.message)) return true;
  }
  return false;
}
