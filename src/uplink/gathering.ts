/**
 * How long acknowledgements may gather before they are read.
 *
 * Read as they come, each one or two of them wake this process and cost a turn of the event loop and a write: to who sends three
 * times as much of the processor, to who receives a fifth more (bench/uplink.ts). So while a line is fast, and the cloud has
 * enough in its hands to go on, they are read once a millisecond.
 */
export class Gathering {
  #count = 0;
  #sinceMs = 0;
  #perMs = 0;

  acknowledged(): void {
    this.#count++;
  }

  /**
   * Asked after each read: for how many milliseconds to read nothing.
   * @param inflight how many messages the cloud had to acknowledge when the last ones were sent
   */
  restMs(nowMs: number, inflight: number): number {
    const elapsedMs = nowMs - this.#sinceMs;
    if (elapsedMs >= WINDOW_MS) {
      this.#perMs = this.#count / elapsedMs;
      this.#count = 0;
      this.#sinceMs = nowMs;
    }
    const isWorthIt = this.#perMs >= PER_MS_MIN;
    return isWorthIt && this.#perMs * REST_MS <= inflight * SHARE_MAX ? REST_MS : 0;
  }
}

/** Timers are no finer. */
const REST_MS = 1;
/** Over which the rate is taken. */
const WINDOW_MS = 4;
const PER_MS_MIN = 4;
/** Of what is in flight, may be acknowledged meanwhile: the timer may be late, and the cloud is never to wait for us. */
const SHARE_MAX = 0.4;
