import { Fifo } from "../base/fifo.ts";

/** How many values did not fit while the reader was slow. Comes in the place where they would have been. */
export interface Skipped {
  readonly skipped: number;
}

/** How much may wait: so many values, of so many bytes together. One alone may be larger. */
export interface FeedRoom<T> {
  readonly max: number;
  readonly bytesMax: number;
  bytesOf(value: T): number;
}

/**
 * Values on their way to one reader who may be slow: what there is no room for is counted and left out, so that watching costs
 * the watched nothing. Ends when the signal aborts.
 */
export class Feed<T> implements AsyncIterable<T | Skipped> {
  readonly #room: FeedRoom<T>;
  readonly #signal: AbortSignal;
  readonly #waiting = new Fifo<T>();
  #bytes = 0;
  #skipped = 0;
  #wake: () => void = () => {};

  constructor(room: FeedRoom<T>, signal: AbortSignal) {
    this.#room = room;
    this.#signal = signal;
    signal.addEventListener("abort", () => this.#wake(), { once: true });
  }

  push(value: T): void {
    const { max, bytesMax, bytesOf } = this.#room;
    const { length } = this.#waiting;
    const bytes = bytesOf(value);
    if (length >= max || (length > 0 && this.#bytes + bytes > bytesMax)) {
      this.#skipped++;
    } else {
      this.#waiting.push(value);
      this.#bytes += bytes;
    }
    this.#wake();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<T | Skipped> {
    while (!this.#signal.aborted) {
      const value = this.#waiting.shift();
      if (value !== undefined) {
        this.#bytes -= this.#room.bytesOf(value);
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
