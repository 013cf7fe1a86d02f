import type { Clock } from "../base/clock.ts";

export interface ArrivalLimits {
  /** Sockets at a time, those whose handshake is under way included. */
  readonly connectionsMax: number;
  readonly connectionsPerAddressMax: number;
  /** New connections a second; as many may come at once. */
  readonly connectRate: number;
}

/** Who may come in: decided before a byte of it is read, so that a flood costs no more than the accepting. Pure. */
export class Arrivals {
  readonly #limits: ArrivalLimits;
  readonly #clock: Clock;
  readonly #isOverloaded: () => boolean;
  readonly #byAddress = new Map<string, number>();
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

  /** Lets a connection in, or tells why not. Whoever was let in leaves once. */
  enter(address: string): string | null {
    const here = this.#byAddress.get(address) ?? 0;
    const closed = this.closedTo(1);
    if (closed !== null) return closed;
    if (here >= this.#limits.connectionsPerAddressMax) return "too many connections of one address";
    this.#allowance--;
    this.#count++;
    this.#byAddress.set(address, here + 1);
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
    const here = this.#byAddress.get(address) ?? 0;
    this.#count--;
    if (here > 1) this.#byAddress.set(address, here - 1);
    else this.#byAddress.delete(address);
  }

  #refill(): void {
    const { connectRate } = this.#limits;
    const now = this.#clock.monotonicMs();
    const gained = ((now - this.#refilledMs) * connectRate) / 1000;
    this.#allowance = Math.min(connectRate, this.#allowance + gained);
    this.#refilledMs = now;
  }
}
