import { networkOf } from "../base/network.ts";

/** Bounds of what failed attempts cost those who make them, and us. */
export interface AttemptLimits {
  /** Failures of one address that cost nothing. */
  readonly failuresFree: number;
  /** The pause after one more than that; it doubles with each further one. */
  readonly pauseFirstMs: number;
  readonly pauseMaxMs: number;
  /** Addresses that are remembered; the one that failed longest ago is forgotten first. */
  readonly addressesMax: number;
}

interface Record {
  failures: number;
  failedMs: number;
  /** When the next attempt may be looked at. */
  nextMs: number;
}

/**
 * Slows down who guesses: after a few failures each further attempt from the same address has to wait, longer each time.
 * A success does not wipe the failures away, or a guesser with one account would never wait; time does, one failure each
 * `pauseMaxMs`. Pure.
 */
export class Attempts {
  readonly #limits: AttemptLimits;
  /** In the order of their last failure. */
  readonly #byAddress = new Map<string, Record>();

  constructor(limits: AttemptLimits) {
    this.#limits = limits;
  }

  get size(): number {
    return this.#byAddress.size;
  }

  /** Whether one from that address has failed. Forgiven, it still goes behind those that never have, or a crowd would be new each minute. */
  hasFailed(address: string): boolean {
    return this.#byAddress.has(networkOf(address));
  }

  /** How long an attempt from that address has to wait, in ms. */
  waitMs(address: string, nowMs: number): number {
    const record = this.#byAddress.get(networkOf(address));
    if (record === undefined) return 0;
    this.#forgive(record, nowMs);
    return this.#pauseMs(record) === 0 ? 0 : Math.max(0, record.nextMs - nowMs);
  }

  /** An attempt from that address waits: the next one waits behind it. */
  reserve(address: string, nowMs: number): void {
    const record = this.#byAddress.get(networkOf(address));
    if (record !== undefined)
      record.nextMs = Math.max(nowMs, record.nextMs) + this.#pauseMs(record);
  }

  failed(address: string, nowMs: number): void {
    const network = networkOf(address);
    const record = this.#byAddress.get(network) ?? { failures: 0, failedMs: nowMs, nextMs: 0 };
    this.#forgive(record, nowMs);
    record.failures++;
    record.failedMs = nowMs;
    record.nextMs = Math.max(record.nextMs, nowMs + this.#pauseMs(record));
    this.#byAddress.delete(network);
    this.#byAddress.set(network, record);
    if (this.#byAddress.size <= this.#limits.addressesMax) return;
    const [oldest] = this.#byAddress.keys();
    if (oldest !== undefined) this.#byAddress.delete(oldest);
  }

  #forgive(record: Record, nowMs: number): void {
    const { pauseMaxMs } = this.#limits;
    const forgiven = Math.floor((nowMs - record.failedMs) / pauseMaxMs);
    if (forgiven <= 0) return;
    record.failures = Math.max(0, record.failures - forgiven);
    record.failedMs += forgiven * pauseMaxMs;
  }

  #pauseMs({ failures }: Record): number {
    const { failuresFree, pauseFirstMs, pauseMaxMs } = this.#limits;
    const beyond = failures - failuresFree;
    return beyond <= 0 ? 0 : Math.min(pauseMaxMs, pauseFirstMs * 2 ** (beyond - 1));
  }
}
