import { assert } from "../base/errors.ts";
import { datedMs } from "../base/timepiece.ts";
import { DROP_REASONS, type DropReason } from "./cloud.ts";
import { GAP_TOPIC } from "./own-topics.ts";
import type { SourceEntry } from "./source.ts";

const FREE = 0;
const IN_FLIGHT = 1;
const DONE = 2;

/** The finished messages that left the window's head. */
export interface Retired {
  readonly count: number;
  /** Of the last one; 0 when there was none. */
  readonly lastSeq: number;
  /** What of it was given up; null when nothing was. */
  readonly loss: Loss | null;
}

export type Dropped = Partial<Record<DropReason, number>>;

/** Messages that were given up: how many for which reason, and the first and the last of them. */
export interface Loss {
  readonly dropped: Dropped;
  /** What of it were records of gaps. */
  readonly records: Dropped;
  readonly first: Lost;
  readonly last: Lost;
}

export interface Lost {
  readonly seq: number;
  readonly wallMs: number;
}

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
  readonly #wallMs: Float64Array;
  /** Why the message was given up: index in DROP_REASONS and one more; 0 when it was not. */
  readonly #reasons: Uint8Array;
  /** 1: a record of a gap. */
  readonly #records: Uint8Array;
  #head = 0;
  #span = 0;
  #inflight = 0;
  #inflightBytes = 0;

  constructor(max: number) {
    this.max = max;
    this.#states = new Uint8Array(max);
    this.#seqs = new Float64Array(max);
    this.#bytes = new Float64Array(max);
    this.#wallMs = new Float64Array(max);
    this.#reasons = new Uint8Array(max);
    this.#records = new Uint8Array(max);
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
  /** Of the message in flight in the slot; null when none is. */
  seqAt(slot: number): number | null {
    return this.#states[slot] === IN_FLIGHT ? (this.#seqs[slot] as number) : null;
  }
  /** The slot that the next message will have. */
  get nextSlot(): number {
    return (this.#head + this.#span) % this.max;
  }

  /** Takes the next slot for a message that was sent. */
  sent(entry: SourceEntry, bytes: number): void {
    this.#push(entry, bytes, IN_FLIGHT);
    this.#inflight++;
    this.#inflightBytes += bytes;
  }

  /** Takes the next slot for a message that is given up unsent, so that it is accounted for in its turn. */
  skipped(entry: SourceEntry, reason: DropReason): void {
    const slot = this.nextSlot;
    this.#push(entry, 0, DONE);
    this.#reasons[slot] = codeOf(reason);
  }

  /** Whether the slot was in flight; it no longer is. */
  finish(slot: number, reason: DropReason | null = null): boolean {
    if (this.#states[slot] !== IN_FLIGHT) return false;
    this.#states[slot] = DONE;
    this.#reasons[slot] = reason === null ? 0 : codeOf(reason);
    this.#inflight--;
    this.#inflightBytes -= this.#bytes[slot] as number;
    return true;
  }

  /** Frees the run of finished slots at the head. */
  retire(): Retired {
    let count = 0;
    let lastSeq = 0;
    let losses: Losses | null = null;
    while (this.#span > 0 && this.#states[this.#head] === DONE) {
      const head = this.#head;
      lastSeq = this.#seqs[head] as number;
      if (this.#reasons[head] !== 0) {
        losses ??= new Losses();
        const lost = { seq: lastSeq, wallMs: this.#wallMs[head] as number };
        losses.add(this.#reasons[head] as number, lost, this.#records[head] === 1);
      }
      this.#states[head] = FREE;
      this.#head = (head + 1) % this.max;
      this.#span--;
      count++;
    }
    return { count, lastSeq, loss: losses?.sum ?? null };
  }

  /** Forgets everything. */
  clear(): void {
    this.#states.fill(FREE);
    this.#head = 0;
    this.#span = 0;
    this.#inflight = 0;
    this.#inflightBytes = 0;
  }

  #push(entry: SourceEntry, bytes: number, state: number): void {
    assert(!this.full, "a message was sent beyond the window");
    const slot = this.nextSlot;
    this.#states[slot] = state;
    this.#reasons[slot] = 0;
    this.#records[slot] = entry.message.topic === GAP_TOPIC ? 1 : 0;
    this.#seqs[slot] = entry.seq;
    this.#wallMs[slot] = datedMs(entry);
    this.#bytes[slot] = bytes;
    this.#span++;
  }
}

class Losses {
  readonly #dropped: Dropped = {};
  readonly #records: Dropped = {};
  #first: Lost | null = null;
  #last: Lost | null = null;

  add(code: number, lost: Lost, isRecord: boolean): void {
    const reason = DROP_REASONS[code - 1] as DropReason;
    this.#dropped[reason] = (this.#dropped[reason] ?? 0) + 1;
    if (isRecord) this.#records[reason] = (this.#records[reason] ?? 0) + 1;
    this.#first ??= lost;
    this.#last = lost;
  }

  get sum(): Loss {
    return {
      dropped: this.#dropped,
      records: this.#records,
      first: this.#first as Lost,
      last: this.#last as Lost,
    };
  }
}

function codeOf(reason: DropReason): number {
  return DROP_REASONS.indexOf(reason) + 1;
}
