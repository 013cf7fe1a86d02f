/**
 * How long acknowledgements may gather before they are read.
 *
 * Read as they come, each one or two of them wake this process and cost a turn of the event loop and a write: to who sends three
 * times as much of the processor, to who receives a fifth more (bench/uplink.ts). So while a line is fast, and the cloud has
 * enough in its hands to go on, they are read once a millisecond.
 *
 * On a busy machine a millisecond may become ten: when nearly all that was in flight has been acknowledged meanwhile, the cloud
 * may have waited for us, and they are read as they come for a while.
 */
export class Gathering {
  #count = 0;
  #sinceMs = 0;
  #perMs = 0;
  #sinceRead = 0;
  #isRested = false;
  #notBeforeMs = 0;

  acknowledged(): void {
    this.#count++;
    this.#sinceRead++;
  }

  /**
   * Asked after each read: for how many milliseconds to read nothing.
   * @param inflight how many messages the cloud had to acknowledge when the last ones were sent
   */
  restMs(nowMs: number, inflight: number): number {
    if (this.#isRested && this.#sinceRead > inflight * TOO_MUCH) {
      this.#notBeforeMs = nowMs + WHILE_MS;
    }
    this.#sinceRead = 0;
    this.#isRested = false;
    this.#measure(nowMs);
    if (nowMs < this.#notBeforeMs || this.#perMs < PER_MS_MIN) return 0;
    this.#isRested = this.#perMs * REST_MS <= inflight * SHARE_MAX;
    return this.#isRested ? REST_MS : 0;
  }

  #measure(nowMs: number): void {
    const elapsedMs = nowMs - this.#sinceMs;
    if (elapsedMs < WINDOW_MS) return;
    this.#perMs = this.#count / elapsedMs;
    this.#count = 0;
    this.#sinceMs = nowMs;
  }
}

/** Timers are no finer. */
const REST_MS = 1;
/** Over which the rate is taken. */
const WINDOW_MS = 4;
const PER_MS_MIN = 4;
/** Of what is in flight, may be acknowledged meanwhile, so that the cloud need not wait for us. */
const SHARE_MAX = 0.4;
const TOO_MUCH = 0.8;
const WHILE_MS = 100;
