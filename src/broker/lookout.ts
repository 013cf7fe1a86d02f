import type { Clock } from "../base/clock.ts";

/** How often it is looked while something goes on: what is looked after is felt within a second. */
const ALERT_MS = 100;
/** And while nothing does: each look wakes the processor. */
const REST_MS = 1000;
/** So many looks in succession found nothing going on. */
const QUIET = 10;

/**
 * Looks after something often while something goes on, seldom while nothing does.
 *
 *   alert ──nothing for a second──▶ resting
 *     ▲                               │
 *     └───stirred, or seen to go on───┘
 */
export class Lookout {
  readonly #clock: Clock;
  readonly #look: (nowMs: number, lateMs: number) => boolean;
  #everyMs = 0;
  #expectedMs = 0;
  #isStirred = false;
  #quiet = 0;
  #stop: () => void = () => {};

  /** @param look is told how late it is called; returns whether something goes on that it has to see to */
  constructor(clock: Clock, look: (nowMs: number, lateMs: number) => boolean) {
    this.#clock = clock;
    this.#look = look;
  }

  start(): void {
    this.#goOn(ALERT_MS);
  }

  stop(): void {
    this.#stop();
    this.#everyMs = 0;
  }

  /** Something has happened: the next look comes soon. For hot paths. */
  stir(): void {
    this.#isStirred = true;
    if (this.#everyMs === REST_MS) this.#goOn(ALERT_MS);
  }

  #turn(): void {
    const nowMs = this.#clock.monotonicMs();
    const lateMs = Math.max(0, nowMs - this.#expectedMs);
    this.#expectedMs = nowMs + this.#everyMs;
    const goesOn = this.#look(nowMs, lateMs) || this.#isStirred;
    this.#isStirred = false;
    this.#quiet = goesOn ? 0 : this.#quiet + 1;
    const everyMs = this.#quiet < QUIET ? ALERT_MS : REST_MS;
    if (everyMs !== this.#everyMs && this.#everyMs !== 0) this.#goOn(everyMs);
  }

  #goOn(everyMs: number): void {
    this.#stop();
    this.#everyMs = everyMs;
    this.#expectedMs = this.#clock.monotonicMs() + everyMs;
    if (everyMs === ALERT_MS) this.#quiet = 0;
    this.#stop = this.#clock.every(everyMs, () => this.#turn());
  }
}
