import { Fifo } from "../base/fifo.ts";

/** How many values did not fit while the reader was slow. Comes in the place where they would have been. */
export interface Skipped {
  readonly skipped: number;
}

/**
 * Values on their way to one reader who may be slow: at most `max` wait, and what does not fit is counted and left out, so that
 * watching costs the watched nothing. Ends when the signal aborts.
 */
export class Feed<T> implements AsyncIterable<T | Skipped> {
  readonly #max: number;
  readonly #signal: AbortSignal;
  readonly #waiting = new Fifo<T>();
  #skipped = 0;
  #wake: () => void = () => {};

  constructor(max: number, signal: AbortSignal) {
    this.#max = max;
    this.#signal = signal;
    signal.addEventListener("abort", () => this.#wake(), { once: true });
  }

  push(value: T): void {
    if (this.#waiting.length >= this.#max) this.#skipped++;
    else this.#waiting.push(value);
    this.#wake();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<T | Skipped> {
    while (!this.#signal.aborted) {
      const value = this.#waiting.shift();
      if (value !== undefined) {
        yield value;
      } else if (this.#skipped > 0) {
        const skipped = this.#skipped;
        this.#skipped = 0;
        yield { skipped };
      } else {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      }
    }
  }
}
