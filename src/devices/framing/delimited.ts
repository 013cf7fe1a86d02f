import type { FrameRefusal, Framer, FrameSink } from "./framer.ts";

export interface DelimitedRule {
  readonly delimiter: Uint8Array;
  /** Most bytes between two delimiters, as they are on the wire. */
  readonly rawBytesMax: number;
  readonly timeoutMs: number;
  /** True where nothing but the delimiter tells a whole frame from the end of one. */
  readonly huntsAfterOpening: boolean;
  /** What stood between two delimiters, decoded; or why not; or null for nothing. Must not keep or return its argument. */
  readonly finish: (raw: Uint8Array) => Uint8Array | FrameRefusal | null;
}

/**
 * Frames that end with a delimiter which cannot occur within: lines, SLIP, COBS.
 *
 *           delimiter: finish ┐
 *   reset ──▶ hunting ──delimiter──▶ framing ◀──delimiter── skipping
 *                └──────silence────────▲ │ ▲────silence────────┘ ▲
 *                                        └──too long, too slow───┘
 *
 * hunting and skipping both look for the next delimiter; they differ in what was refused: nothing yet, or the frame
 * that is being skipped. Silence of `timeoutMs` also ends them: a device that begins again after a pause begins a frame.
 * A frame that is slow without a pause is skipped to its delimiter, so that its tail is not taken for a frame.
 */
export class DelimitedFramer implements Framer {
  readonly #rule: DelimitedRule;
  readonly #sink: FrameSink;
  readonly #last: number;
  readonly #held: Uint8Array;
  #heldBytes = 0;
  #at: "hunting" | "framing" | "skipping" = "framing";
  #startMs = 0;
  #lastMs = Number.NEGATIVE_INFINITY;

  constructor(rule: DelimitedRule, sink: FrameSink) {
    this.#rule = rule;
    this.#sink = sink;
    this.#last = rule.delimiter[rule.delimiter.length - 1] ?? 0;
    this.#held = new Uint8Array(rule.rawBytesMax + rule.delimiter.length);
  }

  push(chunk: Uint8Array, nowMs: number): void {
    if (chunk.length === 0) return;
    this.expire(nowMs);
    this.#lastMs = nowMs;
    const single = this.#rule.delimiter.length === 1;
    for (let from = 0; from < chunk.length; ) {
      const hit = chunk.indexOf(this.#last, from);
      const end = hit === -1 ? chunk.length : hit + 1;
      if (single && hit !== -1 && this.#heldBytes === 0 && this.#at === "framing") {
        this.#finish(chunk.subarray(from, hit));
      } else {
        this.#take(chunk.subarray(from, end), hit !== -1, nowMs);
      }
      from = end;
    }
  }

  expire(nowMs: number): void {
    if (this.#at === "framing" && this.#heldBytes === 0) return;
    if (nowMs - this.#lastMs >= this.#rule.timeoutMs) {
      this.#drop("timeout");
      this.#at = "framing";
    } else if (this.#at === "framing" && nowMs - this.#startMs >= this.#rule.timeoutMs) {
      this.#sink.refuse("timeout");
      this.#at = "skipping";
    }
  }

  reset(nowMs: number): void {
    this.#drop("incomplete");
    this.#at = this.#rule.huntsAfterOpening ? "hunting" : "framing";
    this.#lastMs = nowMs;
  }

  /** Takes a piece that holds the delimiter's last byte at most once, and then at its end. */
  #take(piece: Uint8Array, mayEnd: boolean, nowMs: number): void {
    if (this.#at === "framing") {
      if (this.#heldBytes === 0) this.#startMs = nowMs;
      if (piece.length > this.#held.length - this.#heldBytes) this.#overflow();
    }
    if (this.#at === "framing") {
      this.#held.set(piece, this.#heldBytes);
      this.#heldBytes += piece.length;
    } else {
      this.#keepTail(piece);
    }
    if (mayEnd && this.#endsWithDelimiter()) this.#complete();
    else if (this.#at === "framing" && this.#heldBytes === this.#held.length) this.#overflow();
  }

  #overflow(): void {
    this.#sink.refuse("too-long");
    this.#at = "skipping";
  }

  /** While looking for a delimiter, one byte more than it has is all that is needed: the one more shows that something was there. */
  #keepTail(piece: Uint8Array): void {
    const room = Math.min(this.#rule.delimiter.length + 1, this.#held.length);
    const tail = piece.subarray(Math.max(0, piece.length - room));
    const keep = Math.min(this.#heldBytes, room - tail.length);
    this.#held.copyWithin(0, this.#heldBytes - keep, this.#heldBytes);
    this.#held.set(tail, keep);
    this.#heldBytes = keep + tail.length;
  }

  #endsWithDelimiter(): boolean {
    const { delimiter } = this.#rule;
    const start = this.#heldBytes - delimiter.length;
    if (start < 0) return false;
    for (let i = 0; i < delimiter.length; i++) {
      if (this.#held[start + i] !== delimiter[i]) return false;
    }
    return true;
  }

  #complete(): void {
    const bytes = this.#heldBytes - this.#rule.delimiter.length;
    this.#heldBytes = 0;
    if (this.#at === "framing") this.#finish(this.#held.subarray(0, bytes));
    else if (this.#at === "hunting" && bytes > 0) this.#sink.refuse("unsynchronised");
    this.#at = "framing";
  }

  #finish(raw: Uint8Array): void {
    const result = raw.length > this.#rule.rawBytesMax ? "too-long" : this.#rule.finish(raw);
    if (typeof result === "string") this.#sink.refuse(result);
    else if (result !== null) this.#sink.frame(result);
  }

  #drop(reason: FrameRefusal): void {
    if (this.#heldBytes > 0 && this.#at === "framing") this.#sink.refuse(reason);
    if (this.#heldBytes > 0 && this.#at === "hunting") this.#sink.refuse("unsynchronised");
    this.#heldBytes = 0;
  }
}
