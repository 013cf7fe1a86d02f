import type { Check } from "../check.ts";
import type { RunningCheck } from "../running-check.ts";
import type { FrameRefusal, Framer, FrameSink } from "./framer.ts";

export interface WindowedRule {
  /** Longest frame on the wire, with prefix and check value. */
  readonly wireBytesMax: number;
  readonly timeoutMs: number;
  /** Stands at the end of a frame. With one, frames are looked for at every byte. */
  readonly check: Check | null;
  /** Bytes of the frame that would begin at window[start]; 0 for "too early to say"; or why none can begin there. */
  readonly measure: (window: Uint8Array, start: number, end: number) => number | FrameRefusal;
  /** A copy of that frame's content. */
  readonly content: (window: Uint8Array, start: number, end: number) => Uint8Array;
}

/**
 * Frames without a delimiter: fixed length, length prefix. A window slides over the bytes. Where no frame can begin, or
 * its check value is wrong, the window moves by one byte and looks again, so that a good frame after noise is found
 * even when the noise looked like the beginning of a longer one. One run of lost bytes is one refusal, whatever its length.
 * A frame's check value costs the same however long the frame is: noise cannot make the gateway busy.
 * Without a check value any bytes are a frame: then only silence of `timeoutMs` tells where the next one begins.
 */
export class WindowedFramer implements Framer {
  readonly #rule: WindowedRule;
  readonly #sink: FrameSink;
  readonly #window: Uint8Array;
  readonly #running: RunningCheck | null;
  /** Of the running check: what a frame must have behind it that begins at that byte of the window, and what one has that ends before it. */
  readonly #begins: Int32Array;
  readonly #ends: Int32Array;
  #start = 0;
  #end = 0;
  #lost = false;
  #startMs = 0;
  #lastMs = Number.NEGATIVE_INFINITY;

  constructor(rule: WindowedRule, sink: FrameSink) {
    this.#rule = rule;
    this.#sink = sink;
    // Twice the longest frame, so that bytes are moved to the front once a frame and not once a byte.
    this.#window = new Uint8Array(2 * rule.wireBytesMax);
    this.#running = rule.check?.running() ?? null;
    const places = this.#running === null ? 0 : this.#window.length + 1;
    this.#begins = new Int32Array(places).fill(this.#running?.first ?? 0, 0, 1);
    this.#ends = new Int32Array(places);
  }

  push(chunk: Uint8Array, nowMs: number): void {
    if (chunk.length === 0) return;
    this.expire(nowMs);
    this.#lastMs = nowMs;
    for (let from = 0; from < chunk.length; ) {
      if (this.#end === this.#window.length) this.#moveToFront();
      if (this.#start === this.#end) this.#startMs = nowMs;
      const count = Math.min(chunk.length - from, this.#window.length - this.#end);
      this.#window.set(chunk.subarray(from, from + count), this.#end);
      this.#running?.extend(this.#begins, this.#ends, this.#window, this.#end, this.#end + count);
      this.#end += count;
      from += count;
      this.#scan(nowMs);
    }
  }

  expire(nowMs: number): void {
    if (this.#start === this.#end) return;
    const silent = nowMs - this.#lastMs >= this.#rule.timeoutMs;
    if (!silent && nowMs - this.#startMs < this.#rule.timeoutMs) return;
    if (this.#rule.check === null) this.#drop("timeout");
    // Within what only looked like the beginning of a frame there may be whole ones.
    else if (silent) this.#giveUp("timeout", nowMs);
    else this.#slide("timeout", nowMs);
    if (silent) this.#lost = false;
  }

  reset(nowMs: number): void {
    if (this.#rule.check !== null) this.#giveUp("incomplete", nowMs);
    else this.#drop("incomplete");
    this.#lost = false;
    this.#lastMs = nowMs;
  }

  #scan(nowMs: number): void {
    const { measure, content } = this.#rule;
    const window = this.#window;
    const end = this.#end;
    let start = this.#start;
    while (start < end) {
      let refusal: FrameRefusal = "checksum";
      const bytes = measure(window, start, end);
      if (typeof bytes === "string") refusal = bytes;
      else {
        const next = start + bytes;
        if (bytes === 0 || next > end) break;
        if (this.#isRight(start, next)) {
          this.#move(next, nowMs);
          this.#lost = false;
          this.#sink.frame(content(window, start, next));
          start = next;
          continue;
        }
      }
      if (!this.#lost) this.#sink.refuse(refusal);
      this.#lost = true;
      start += 1;
    }
    if (start > this.#start) this.#move(start, nowMs);
  }

  #move(start: number, nowMs: number): void {
    this.#start = start;
    this.#startMs = nowMs;
  }

  /** The frame from `start` to `end` has something before its check value, and that is right. */
  #isRight(start: number, end: number): boolean {
    const { check } = this.#rule;
    if (check === null) return true;
    return end - start > check.bytes && this.#begins[start] === this.#ends[end];
  }

  /** No frame begins at the window's first byte. */
  #slide(reason: FrameRefusal, nowMs: number): void {
    if (!this.#lost) this.#sink.refuse(reason);
    this.#lost = true;
    this.#move(this.#start + 1, nowMs);
    this.#scan(nowMs);
  }

  #giveUp(reason: FrameRefusal, nowMs: number): void {
    while (this.#start < this.#end) this.#slide(reason, nowMs);
  }

  #drop(reason: FrameRefusal): void {
    if (this.#start < this.#end && !this.#lost) this.#sink.refuse(reason);
    this.#start = 0;
    this.#end = 0;
  }

  #moveToFront(): void {
    this.#window.copyWithin(0, this.#start, this.#end);
    this.#begins.copyWithin(0, this.#start, this.#end + 1);
    this.#ends.copyWithin(0, this.#start, this.#end + 1);
    this.#end -= this.#start;
    this.#start = 0;
  }
}
