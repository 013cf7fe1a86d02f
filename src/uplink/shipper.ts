import { totalOf } from "../base/counts.ts";
import { assert } from "../base/errors.ts";
import type { DropReason } from "./cloud.ts";
import type { SourceCursor, SourceEntries, SourceEntry } from "./source.ts";
import { type Loss, Window } from "./window.ts";

/**
 * One lane on its way to the other side, without I/O: what was read ahead, what is in flight, and up to where the
 * cursor may move.
 *
 *   journal ──took──▶ ahead ──sent──▶ window ──acknowledged──▶ settle: the cursor's next move
 *
 * The cursor moves through the longest run of messages that are done, never past one that is not. After any failure
 * everything here is forgotten and read again from the cursor: the journal is the only memory. A message may therefore
 * be sent twice, but its first arrival is in order.
 */
export class Shipper {
  readonly lane: number;
  readonly window: Window;
  readonly #cursor: SourceCursor;
  readonly #aheadMax: number;

  #ahead: readonly SourceEntry[] = [];
  #next = 0;
  #waiting: readonly SourceEntry[] | null = null;
  /** Everything of the lane up to here was taken from the journal. */
  #readSeq: number;
  /** The journal had nothing more when it stood here. */
  #drySeq = -1;
  #reading: "no" | "yes" | "forgotten" = "no";
  /** Nothing is sent or read: the lane is let go of as soon as nothing of it is in flight. */
  #yielding = false;
  /** Since when the other side has owed an acknowledgement. */
  #owedSinceMs = 0;

  /** @param aheadMax reads ahead while fewer messages than this are waiting */
  constructor(lane: number, cursor: SourceCursor, windowMax: number, aheadMax: number) {
    this.lane = lane;
    this.window = new Window(windowMax);
    this.#cursor = cursor;
    this.#aheadMax = aheadMax;
    this.#readSeq = cursor.seq;
  }

  /** The next message to send, or null when there is none or the window is full. */
  peek(): SourceEntry | null {
    if (this.window.full || this.#mustLetGo) return null;
    return this.#ahead[this.#next] ?? null;
  }

  /** The message that `peek` gave was sent. */
  sent(bytes: number, nowMs: number): void {
    if (this.window.inflight === 0) this.#owedSinceMs = nowMs;
    this.window.sent(this.#shift(), bytes);
  }

  /** The message that `peek` gave is given up unsent. */
  skipped(reason: DropReason): void {
    this.window.skipped(this.#shift(), reason);
  }

  /** The message in this slot is done with, or given up for a reason. False when it was already. */
  finished(slot: number, nowMs: number, reason: DropReason | null = null): boolean {
    const news = this.window.finish(slot, reason);
    if (news) this.#owedSinceMs = nowMs;
    return news;
  }

  /** Moves the cursor as far as it may, and tells what was lost on the way. Call it once for many acknowledgements. */
  settle(): Loss | null {
    const { count, lastSeq, loss } = this.window.retire();
    const throughSeq = this.#held === 0 ? Math.max(this.#readSeq, lastSeq) : lastSeq;
    if (throughSeq > this.#cursor.seq) this.#cursor.move(throughSeq, count, loss?.dropped);
    if (this.#mustLetGo && this.window.span === 0) this.reset();
    if (this.#held === 0 && this.#reading !== "yes") this.#cursor.isReading = this.#yielding;
    return loss;
  }

  /**
   * Passes by what the lane provably has no part in: every entry that it ever took is accounted for. Spares a read on
   * every commit that concerns other lanes only, and keeps an idle lane's cursor from holding the journal.
   */
  advance(durableSeq: number, laneTotal: number): void {
    if (this.#reading === "no" && this.#cursor.count + this.#held === laneTotal) {
      this.#readSeq = Math.max(this.#readSeq, durableSeq);
    }
  }

  /**
   * After which seq to read, or null when nothing should be read now. Each answer but null must be followed by `took`
   * or `readFailed`.
   */
  beginRead(durableSeq: number): number | null {
    if (this.#reading !== "no" || this.#waiting !== null || this.#mustLetGo) return null;
    // The journal moves the cursor when it drops the oldest, while nothing is in hand.
    this.#readSeq = Math.max(this.#readSeq, this.#cursor.seq);
    if (durableSeq <= this.#readSeq || durableSeq === this.#drySeq) return null;
    if (this.#ahead.length - this.#next >= this.#aheadMax) return null;
    this.#reading = "yes";
    this.#cursor.isReading = true;
    return this.#readSeq;
  }

  /** What was read, when the journal was durable up to `durableSeq`. Ignored when the lane was reset meanwhile. */
  took(read: SourceEntries, durableSeq: number): void {
    const current = this.#reading === "yes";
    this.#reading = "no";
    if (!current) return;
    const lost = read.gap?.lostAfter(this.#cursor.count + this.#held) ?? 0;
    // Counted at once, where the cursor stands: whoever reads on from there again counts it no second time.
    if (lost > 0) this.#cursor.move(this.#cursor.seq, lost, { damaged: lost });
    const last = read.entries.at(-1)?.seq ?? 0;
    const throughSeq = Math.max(read.throughSeq, last);
    this.#drySeq = throughSeq > this.#readSeq ? -1 : durableSeq;
    this.#readSeq = Math.max(this.#readSeq, throughSeq);
    if (read.entries.length === 0) return;
    if (this.#next === this.#ahead.length) {
      this.#ahead = read.entries;
      this.#next = 0;
    } else {
      assert(this.#waiting === null, "a lane read twice ahead");
      this.#waiting = read.entries;
    }
  }

  readFailed(): void {
    this.#reading = "no";
  }

  /** By when the other side must acknowledge something, or null when it owes nothing. */
  dueMs(acknowledgeTimeoutMs: number): number | null {
    return this.window.inflight === 0 ? null : this.#owedSinceMs + acknowledgeTimeoutMs;
  }

  /** Forgets everything: the next read begins at the cursor. */
  reset(): void {
    this.window.clear();
    this.#ahead = [];
    this.#waiting = null;
    this.#next = 0;
    this.#readSeq = this.#cursor.seq;
    this.#drySeq = -1;
    if (this.#reading === "yes") this.#reading = "forgotten";
    this.#cursor.isReading = this.#yielding;
  }

  /** From now on nothing is sent or read. Until `takeUp` the journal keeps its hands off the lane as well. */
  letGo(): void {
    this.#yielding = true;
    this.#cursor.isReading = true;
  }

  /** It was asked to let go, and nothing of the lane is in its hands. */
  get isLetGo(): boolean {
    return this.#yielding && this.window.span === 0;
  }

  /** Goes on from the cursor, past which `loss` was given up meanwhile. */
  takeUp(loss: Loss | null): void {
    this.#yielding = false;
    if (loss !== null) this.#cursor.move(loss.last.seq, totalOf(loss.dropped), loss.dropped);
    this.reset();
  }

  get cursorSeq(): number {
    return this.#cursor.seq;
  }

  /** Messages of the lane that wait in the journal, given how many it ever took. */
  queued(laneTotal: number): number {
    return Math.max(0, laneTotal - this.#cursor.count);
  }

  get #mustLetGo(): boolean {
    return this.#yielding || this.#cursor.isWanted;
  }

  /** Messages taken from the journal that the cursor has not passed. */
  get #held(): number {
    return this.window.span + this.#ahead.length - this.#next + (this.#waiting?.length ?? 0);
  }

  #shift(): SourceEntry {
    const entry = this.#ahead[this.#next++];
    assert(entry !== undefined, "sent what was not there");
    if (this.#next === this.#ahead.length) {
      this.#ahead = this.#waiting ?? [];
      this.#waiting = null;
      this.#next = 0;
    }
    return entry;
  }
}
