import type { Clock } from "../base/clock.ts";
import type { Rows } from "../base/rows.ts";
import {
  CLOCK_QUALITIES,
  type ClockQuality,
  type EntryTime,
  type Timepiece,
} from "../base/timepiece.ts";
import { type Block, type BlockStamp, stampOf } from "./block.ts";

/** Key space: by boot id, the wall time at which that run of the machine began, by its synchronised clock. */
export const BOOTS_SPACE = "boots";
/** Runs of the machine that are remembered: what waits longer keeps the date it has. */
const BOOTS_MAX = 64;
/** A clock that was corrected by less is not written down again. */
const NEWS_MS_MIN = 1000;
/** The two clocks are not read at the same instant: a smaller difference is none. */
const SHIFT_MS_MIN = 100;

/**
 * Dates entries. A block carries the monotonic time since the start of the machine beside the wall time; the difference is the
 * wall time of that start, as the clock had it. Once a run of the machine knows it from a time server, all that was accepted
 * before in the same run is dated anew: its monotonic time was always right. What a run has found out is kept in rows, for what
 * still waits after the next start; in a copy, the blocks of the origin tell it.
 */
export class Dating {
  readonly #timepiece: Timepiece | null;
  readonly #clock: Clock;
  readonly #rows: Rows;
  /** Wall time of the start, by boot id. */
  readonly #startMs = new Map<string, number>();

  /** @param timepiece null for a copy of another gateway's journal, and where nobody keeps the time */
  constructor(timepiece: Timepiece | null, clock: Clock, rows: Rows) {
    this.#timepiece = timepiece;
    this.#clock = clock;
    this.#rows = rows;
  }

  async load(): Promise<void> {
    for await (const [bootId, value] of this.#rows.entries({})) {
      this.#startMs.set(bootId, Buffer.from(value).readDoubleBE(0));
    }
  }

  /** What a block that begins now has to carry. */
  stamp(): BlockStamp | null {
    if (this.#timepiece === null) return null;
    const { bootId } = this.#timepiece;
    this.note();
    return { bootId, bootMs: this.#timepiece.bootMs(), quality: this.#timepiece.quality() };
  }

  /** The clock may have become synchronised: then this run's start is written down with the next commit. */
  note(): void {
    if (this.#timepiece?.quality() !== "synchronised") return;
    this.#learn(this.#timepiece.bootId, this.#clock.wallMs() - this.#timepiece.bootMs());
  }

  /** A block of the origin was taken into this copy. */
  took(block: Block): void {
    const stamp = stampOf(block);
    if (stamp?.quality === "synchronised") this.#learn(stamp.bootId, startOf(block, stamp));
  }

  /** Null for a block without a stamp. */
  timeOf(block: Block): EntryTime | null {
    const stamp = stampOf(block);
    return stamp === null ? null : new BlockTime(this, stamp, startOf(block, stamp));
  }

  /** The timepiece, when this is the run of the machine that it runs in. */
  running(bootId: string): Timepiece | null {
    return this.#timepiece?.bootId === bootId ? this.#timepiece : null;
  }

  /** The wall time of that run's start, as a synchronised clock knew it; undefined when none did. */
  knownStartMs(bootId: string): number | undefined {
    return this.#startMs.get(bootId);
  }

  /** By the clock as it is now. */
  presentStartMs(timepiece: Timepiece): number {
    return this.#clock.wallMs() - timepiece.bootMs();
  }

  #learn(bootId: string, startMs: number): void {
    const known = this.#startMs.get(bootId);
    if (known !== undefined && Math.abs(known - startMs) < NEWS_MS_MIN) return;
    this.#startMs.set(bootId, startMs);
    const value = Buffer.alloc(8);
    value.writeDoubleBE(startMs);
    // Not written, because the store is full or ends: then it is found out again, or the date stays as it is.
    void this.#rows.put(bootId, value).catch(() => {});
    if (this.#startMs.size > BOOTS_MAX) this.#forgetOldest();
  }

  #forgetOldest(): void {
    const [oldest] = [...this.#startMs].sort(([, a], [, b]) => a - b)[0] ?? [];
    if (oldest === undefined) return;
    this.#startMs.delete(oldest);
    void this.#rows.del(oldest).catch(() => {});
  }
}

function startOf(block: Block, stamp: BlockStamp): number {
  return block.baseWallMs - stamp.bootMs;
}

class BlockTime implements EntryTime {
  readonly bootId: string;
  readonly #dating: Dating;
  readonly #quality: ClockQuality;
  /** Wall time of the machine's start by the clock of then. */
  readonly #startMs: number;

  constructor(dating: Dating, { bootId, quality }: BlockStamp, startMs: number) {
    this.bootId = bootId;
    this.#dating = dating;
    this.#quality = quality;
    this.#startMs = startMs;
  }

  quality(): ReturnType<EntryTime["quality"]> {
    if (this.#quality === "synchronised") return this.#quality;
    const isSure = this.#dating.running(this.bootId)?.quality() === "synchronised";
    const isKnown = this.#dating.knownStartMs(this.bootId) !== undefined;
    return isSure || isKnown ? "redated" : this.#quality;
  }

  shiftMs(): number {
    if (this.#quality === "synchronised") return 0;
    const running = this.#dating.running(this.bootId);
    // Of two clocks that nobody vouches for, the later one counts: whoever set it had a reason.
    const isNoWorse = running !== null && rank(running.quality()) >= rank(this.#quality);
    const startMs = isNoWorse
      ? this.#dating.presentStartMs(running)
      : this.#dating.knownStartMs(this.bootId);
    const shiftMs = Math.round((startMs ?? this.#startMs) - this.#startMs);
    return Math.abs(shiftMs) < SHIFT_MS_MIN ? 0 : shiftMs;
  }

  bootMs(wallMs: number): number {
    return wallMs - this.#startMs;
  }

  ageMs(wallMs: number): number | null {
    const running = this.#dating.running(this.bootId);
    return running === null ? null : running.bootMs() - this.bootMs(wallMs);
  }
}

function rank(quality: ClockQuality): number {
  return CLOCK_QUALITIES.indexOf(quality);
}
