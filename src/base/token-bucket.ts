/**
 * Limits a flow to so many units a second, with a burst, by default of one second's worth (at least one unit).
 *
 * What is taken may exceed what is there: then the bucket is in debt, and nothing more may be taken until it is paid off.
 * So a message larger than the burst passes too, and the rate holds over any longer time: over T seconds at most
 * rate × T + burst + one message.
 */
export class TokenBucket {
  readonly #perMs: number;
  readonly #burst: number;
  #tokens: number;
  #atMs = Number.NEGATIVE_INFINITY;

  /**
   * @param perSecond units a second, more than 0
   * @param burst units at once, at least 1
   */
  constructor(perSecond: number, burst = Math.max(1, perSecond)) {
    this.#perMs = perSecond / 1000;
    this.#burst = burst;
    this.#tokens = this.#burst;
  }

  /** How long until something may be taken, in ms; 0 when it may now. */
  waitMs(nowMs: number): number {
    this.#refill(nowMs);
    return this.#tokens >= ENOUGH ? 0 : (1 - this.#tokens) / this.#perMs;
  }

  /** Whether nothing of its burst is missing: it is as a new one. */
  isFull(nowMs: number): boolean {
    this.#refill(nowMs);
    return this.#tokens >= this.#burst;
  }

  take(units: number, nowMs: number): void {
    this.#refill(nowMs);
    this.#tokens -= units;
  }

  #refill(nowMs: number): void {
    if (nowMs <= this.#atMs) return;
    this.#tokens = Math.min(this.#burst, this.#tokens + (nowMs - this.#atMs) * this.#perMs);
    this.#atMs = nowMs;
  }
}

/** One unit, but for what adding up fractions loses. */
const ENOUGH = 1 - 1e-9;
