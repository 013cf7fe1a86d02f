import { assert } from "../base/errors.ts";

const FREE = 0;
const IN_FLIGHT = 1;
const DONE = 2;

/**
 * What was sent and not yet accounted for, in the order of sending: a ring of `max` slots. Acknowledgements may come in
 * any order; what counts is the run of finished ones at the head, because only up to there may the journal forget.
 *
 *      head                          tail
 *   ┌───┬───────────┬───────────┬──────┬───┐
 *   │   │ done done │ in flight │ done │   │
 *   └───┴───────────┴───────────┴──────┴───┘
 *        retire() ▶ through here
 *
 * A slot is used again only after the head has passed it, so that the span, not the number in flight, is bounded.
 */
export class Window {
  readonly max: number;
  readonly #states: Uint8Array;
  readonly #seqs: Float64Array;
  readonly #bytes: Float64Array;
  #head = 0;
  #span = 0;
  #inflight = 0;
  #inflightBytes = 0;

  constructor(max: number) {
    this.max = max;
    this.#states = new Uint8Array(max);
    this.#seqs = new Float64Array(max);
    this.#bytes = new Float64Array(max);
  }

  /** Slots taken, whether in flight or done but behind one that is. */
  get span(): number {
    return this.#span;
  }
  get full(): boolean {
    return this.#span === this.max;
  }
  get inflight(): number {
    return this.#inflight;
  }
  get inflightBytes(): number {
    return this.#inflightBytes;
  }
  /** The slot that the next message will have. */
  get nextSlot(): number {
    return (this.#head + this.#span) % this.max;
  }

  /** Takes the next slot for a message that was sent. */
  sent(seq: number, bytes: number): void {
    this.#push(seq, bytes, IN_FLIGHT);
    this.#inflight++;
    this.#inflightBytes += bytes;
  }

  /** Takes the next slot for a message that is not sent at all, so that it is accounted for in its turn. */
  skipped(seq: number): void {
    this.#push(seq, 0, DONE);
  }

  /** Whether the slot was in flight; it no longer is. */
  finish(slot: number): boolean {
    if (this.#states[slot] !== IN_FLIGHT) return false;
    this.#states[slot] = DONE;
    this.#inflight--;
    this.#inflightBytes -= this.#bytes[slot] as number;
    return true;
  }

  /** Frees the run of finished slots at the head. `lastSeq` is that of the last one. */
  retire(): { readonly count: number; readonly lastSeq: number } {
    let count = 0;
    let lastSeq = 0;
    while (this.#span > 0 && this.#states[this.#head] === DONE) {
      lastSeq = this.#seqs[this.#head] as number;
      this.#states[this.#head] = FREE;
      this.#head = (this.#head + 1) % this.max;
      this.#span--;
      count++;
    }
    return { count, lastSeq };
  }

  /** Forgets everything. */
  clear(): void {
    this.#states.fill(FREE);
    this.#head = 0;
    this.#span = 0;
    this.#inflight = 0;
    this.#inflightBytes = 0;
  }

  #push(seq: number, bytes: number, state: number): void {
    assert(!this.full, "a message was sent beyond the window");
    const slot = this.nextSlot;
    this.#states[slot] = state;
    this.#seqs[slot] = seq;
    this.#bytes[slot] = bytes;
    this.#span++;
  }
}
