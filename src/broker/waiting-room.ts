import type { Waiting } from "./waiting.ts";

/**
 * The memory that all sessions share for what waits in it. While there is room each has what it needs. Then each has a fair share:
 * the whole, divided by those for whom something waits. One that has as much gets no more; for one that has less, the one that
 * has most gives way. So many that take nothing are bounded together, and cost one that is only slow nothing.
 */
export class WaitingRoom {
  readonly #bytesMax: number;
  /** Those for whom something waits. */
  readonly #waiting = new Set<Waiting>();
  /** The one that had most when it was last looked. */
  #largest: Waiting | null = null;
  /** All together. */
  bytes = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** Whether one more message may wait for that one. Makes room where another has more than its share. */
  hasRoomFor(one: Waiting): boolean {
    while (this.bytes >= this.#bytesMax) {
      const others = this.#waiting.has(one) ? 0 : 1;
      const share = this.#bytesMax / (this.#waiting.size + others);
      if (one.taken >= share) return false;
      const largest = this.#largestAbove(share);
      const before = this.bytes;
      largest?.giveWay();
      if (this.bytes >= before) return false;
    }
    return true;
  }

  /** So many bytes more, or fewer, wait for that one. */
  changed(one: Waiting, bytes: number): void {
    this.bytes += bytes;
    if (one.length === 0) this.#waiting.delete(one);
    else if (one.length === 1) this.#waiting.add(one);
  }

  /** All are looked at only when the one that was last found has no more than its share. */
  #largestAbove(share: number): Waiting | null {
    if (this.#largest !== null && this.#largest.taken > share) return this.#largest;
    let largest: Waiting | null = null;
    for (const each of this.#waiting) {
      if (each.taken > share && each.taken > (largest?.taken ?? 0)) largest = each;
    }
    this.#largest = largest;
    return largest;
  }
}
