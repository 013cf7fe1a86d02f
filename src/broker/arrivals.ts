import type { Clock } from "../base/clock.ts";
import { Fifo } from "../base/fifo.ts";
import { networkOf } from "../base/network.ts";
import { TokenBucket } from "../base/token-bucket.ts";

export interface ArrivalLimits {
  /** Sockets at a time, those whose handshake is under way included. */
  readonly connectionsMax: number;
  readonly connectionsPerAddressMax: number;
  /** New connections a second; as many may come at once. */
  readonly connectRate: number;
  /** The same of one address, or of one /64 of IPv6. */
  readonly connectRatePerAddress: number;
}

/** An address that has connections, or had one until just now. */
interface Guest {
  readonly rate: TokenBucket;
  here: number;
  cameMs: number;
  leftMs: number;
}

/** After so long without coming an address is one that has not come: its own rate has nothing left to forgive. */
const FORGOTTEN_MS = 1000;
/** Of the rate of all so much is only for addresses that have not come within the last second. */
const RESERVED = 0.25;

/**
 * Who may come in: decided before a byte of it is read, so that a flood costs no more than the accepting. One address cannot
 * use up what all have together, and several cannot keep out one that comes seldom. Pure.
 *
 * Only who was let in is remembered, and until a second after it has left: that bounds what is remembered.
 */
export class Arrivals {
  readonly #limits: ArrivalLimits;
  readonly #clock: Clock;
  readonly #isOverloaded: () => boolean;
  readonly #guests = new Map<string, Guest>();
  /** Addresses without a connection, in the order in which the last one left. */
  readonly #left = new Fifo<{ readonly network: string; readonly leftMs: number }>();
  #count = 0;
  /** How many may come now. Refilled by time, at most to one second's worth. */
  #allowance: number;
  #refilledMs = 0;

  /** @param isOverloaded whether nobody is to be let in just now */
  constructor(limits: ArrivalLimits, clock: Clock, isOverloaded: () => boolean = () => false) {
    this.#limits = limits;
    this.#isOverloaded = isOverloaded;
    this.#clock = clock;
    this.#allowance = limits.connectRate;
  }

  /** Addresses that are remembered. */
  get remembered(): number {
    return this.#guests.size;
  }

  /** Lets a connection in, or tells why not. Whoever was let in leaves once. */
  enter(address: string): string | null {
    const closed = this.closedTo(1);
    if (closed !== null) return closed;
    const nowMs = this.#clock.monotonicMs();
    this.#forget(nowMs);
    const network = networkOf(address);
    const guest = this.#guests.get(network) ?? this.#stranger();
    if (guest.here >= this.#limits.connectionsPerAddressMax) {
      return "too many connections of one address";
    }
    if (guest.rate.waitMs(nowMs) > 0) return "too many new connections a second of one address";
    const hasCome = nowMs - guest.cameMs < FORGOTTEN_MS;
    const reserved = Math.floor(this.#limits.connectRate * RESERVED);
    if (hasCome && this.#allowance < 1 + reserved) return "too many new connections a second";
    this.#allowance--;
    this.#count++;
    guest.rate.take(1, nowMs);
    guest.here++;
    guest.cameMs = nowMs;
    this.#guests.set(network, guest);
    return null;
  }

  /** Why nobody could come in now, wherever from, or not so many as fast as they can; null when they could. */
  closedTo(many: number): string | null {
    if (this.#isOverloaded()) return "overloaded";
    if (this.#count >= this.#limits.connectionsMax) return "too many connections";
    this.#refill();
    return this.#allowance < many ? "too many new connections a second" : null;
  }

  /** What is allowed in a twentieth of a second. */
  get few(): number {
    return Math.max(1, Math.floor(this.#limits.connectRate / 20));
  }

  leave(address: string): void {
    this.#count--;
    const network = networkOf(address);
    const guest = this.#guests.get(network);
    if (guest === undefined || --guest.here > 0) return;
    const leftMs = this.#clock.monotonicMs();
    guest.leftMs = leftMs;
    this.#left.push({ network, leftMs });
  }

  #stranger(): Guest {
    const rate = new TokenBucket(this.#limits.connectRatePerAddress);
    return { rate, here: 0, cameMs: Number.NEGATIVE_INFINITY, leftMs: 0 };
  }

  /** Those who have left long enough ago. One who has come again and left is further back once more. */
  #forget(nowMs: number): void {
    for (let next = this.#left.peek(); next !== undefined; next = this.#left.peek()) {
      const { network, leftMs } = next;
      if (nowMs - leftMs < FORGOTTEN_MS) return;
      this.#left.shift();
      const guest = this.#guests.get(network);
      if (guest?.here === 0 && guest.leftMs === leftMs) this.#guests.delete(network);
    }
  }

  #refill(): void {
    const { connectRate } = this.#limits;
    const now = this.#clock.monotonicMs();
    const gained = ((now - this.#refilledMs) * connectRate) / 1000;
    this.#allowance = Math.min(connectRate, this.#allowance + gained);
    this.#refilledMs = now;
  }
}
