/**
 * Time as it passes on the line: it stands still while we do not read, because the port is paused or the process was
 * busy. Otherwise bytes that wait in the kernel would look like silence, and the frame they belong to like a late one.
 */
export class LineClock {
  readonly #stepMsMax: number;
  #lineMs = 0;
  #lastMs = 0;
  #paused = false;

  /** More than `stepMsMax` between two readings of the clock is our own delay. */
  constructor(stepMsMax: number) {
    this.#stepMsMax = stepMsMax;
  }

  /** The line's time at `nowMs` (monotonic). To be asked at least every `stepMsMax`. */
  at(nowMs: number): number {
    if (!this.#paused) this.#lineMs += Math.min(nowMs - this.#lastMs, this.#stepMsMax);
    this.#lastMs = nowMs;
    return this.#lineMs;
  }

  pause(nowMs: number): void {
    this.at(nowMs);
    this.#paused = true;
  }

  resume(nowMs: number): void {
    this.at(nowMs);
    this.#paused = false;
  }
}
