import type { Connection } from "./connection.ts";

export interface BackpressureLimits {
  /** Output that one connection has not taken yet. */
  readonly outputBytesMax: number;
  /** One connection is not read further while so much of it is held for want of room, or is QoS 0 behind what is not durable. */
  readonly heldBytesMax: number;
  /** Nobody is read further while so much is not durable, waits behind that, or is held for want of room. */
  readonly pendingBytesMax: number;
}

/** Who is not read just now, and who holds what the store has no room for. */
export class Backpressure {
  readonly #limits: BackpressureLimits;
  readonly #intake: { readonly pendingBytes: number };
  readonly #paused = new Set<Connection>();
  readonly #holding = new Set<Connection>();
  #heldBytes = 0;
  /** How often a connection was not read for a while. */
  pauses = 0;

  constructor(limits: BackpressureLimits, intake: { readonly pendingBytes: number }) {
    this.#limits = limits;
    this.#intake = intake;
  }

  /** Connections that are not read. */
  get paused(): number {
    return this.#paused.size;
  }

  /** Messages that wait for room in the store. */
  get held(): number {
    return [...this.#holding].reduce((sum, { held }) => sum + held.length, 0);
  }

  /** Whether a connection must not bring more; it is resumed when it may. */
  mustPause(connection: Connection): boolean {
    if (!this.#isFull(connection, 1)) return false;
    if (!this.#paused.has(connection)) this.pauses++;
    this.#paused.add(connection);
    return true;
  }

  holds(connection: Connection, bytes: number): void {
    this.#holding.add(connection);
    this.#heldBytes += bytes;
  }

  /** A connection's output was taken. */
  drained(connection: Connection): void {
    if (this.#paused.has(connection)) this.#resumeSome();
  }

  forget(connection: Connection): void {
    this.#paused.delete(connection);
    if (this.#holding.delete(connection)) this.#heldBytes -= connection.held.bytes;
  }

  /** There may be room again: what is held is tried again, then those who wait are read. */
  relax(): void {
    this.#retryHeld();
    this.#resumeSome();
  }

  /** Each in turn, until one has to wait on. */
  #retryHeld(): void {
    for (const connection of [...this.#holding]) {
      const before = connection.held.bytes;
      const isDone = connection.retry();
      this.#heldBytes += connection.held.bytes - before;
      if (!isDone) return;
      this.#holding.delete(connection);
    }
  }

  #resumeSome(): void {
    for (const connection of [...this.#paused]) {
      if (this.#isFull(connection, 0.5)) continue;
      this.#paused.delete(connection);
      connection.resume();
    }
  }

  /** Whether so much waits to be kept, or to be taken by this very client, that it must not bring more. */
  #isFull({ outbox, held, behindBytes }: Connection, share: number): boolean {
    const { pendingBytesMax, heldBytesMax, outputBytesMax } = this.#limits;
    return (
      this.#intake.pendingBytes + this.#heldBytes >= pendingBytesMax * share ||
      held.bytes + behindBytes >= heldBytesMax * share ||
      outbox.pendingBytes > outputBytesMax * share
    );
  }
}
