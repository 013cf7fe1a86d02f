/** One who is not read until a time. */
interface Throttled {
  resume(): void;
}

/** Who publishes faster than allowed, and until when it is not read. */
export class Throttle<T extends Throttled> {
  readonly #untilMs = new Map<T, number>();
  /** How often one was held. */
  times = 0;

  get size(): number {
    return this.#untilMs.size;
  }

  hold(one: T, untilMs: number): void {
    this.#untilMs.set(one, untilMs);
    this.times++;
  }

  forget(one: T): void {
    this.#untilMs.delete(one);
  }

  /** Those whose time has come are read again. */
  release(nowMs: number): void {
    for (const [one, untilMs] of [...this.#untilMs]) {
      if (untilMs > nowMs) continue;
      this.#untilMs.delete(one);
      one.resume();
    }
  }
}
