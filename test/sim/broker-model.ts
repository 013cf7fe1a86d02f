import type { BreakerLimits } from "../../src/uplink/breaker.ts";

const SLICES = 5;

/** What must be known of one broker: reckoned anew from all that ever happened to it, slowly and plainly. */
export class BrokerModel {
  failures = 0;
  timesOpened = 0;
  at: "closed" | "open" | "probing" = "closed";
  readonly #limits: BreakerLimits;
  readonly #stableMs: number;
  #untilMs = 0;
  #openedMs: number | null = null;
  #events: { readonly atMs: number; readonly isFailure: boolean }[] = [];

  constructor(limits: BreakerLimits, stableMs: number) {
    this.#limits = limits;
    this.#stableMs = stableMs;
  }

  waitMs(nowMs: number): number {
    return this.at === "open" ? Math.max(0, this.#untilMs - nowMs) : 0;
  }

  tried(nowMs: number): void {
    this.#openedMs = null;
    if (this.at === "open" && nowMs >= this.#untilMs) this.at = "probing";
  }

  opened(nowMs: number): void {
    this.#openedMs = nowMs;
    if (this.at === "probing") this.#close();
  }

  succeeded(nowMs: number): void {
    if (this.at === "probing") this.#close();
    else if (this.at === "closed") this.#events.push({ atMs: nowMs, isFailure: false });
  }

  /** Whether the breaker opens by it. */
  failed(nowMs: number): boolean {
    const isStable = this.#openedMs !== null && nowMs - this.#openedMs >= this.#stableMs;
    this.failures = isStable ? 1 : this.failures + 1;
    this.#openedMs = null;
    if (this.at === "open") return false;
    this.#events.push({ atMs: nowMs, isFailure: true });
    if (this.at === "closed" && !this.#isBad(nowMs)) return false;
    this.at = "open";
    this.#untilMs = nowMs + this.#limits.openMs;
    this.timesOpened++;
    return true;
  }

  /** The window moves by a fifth of itself at a time. */
  #isBad(nowMs: number): boolean {
    const { windowMs, failurePercent, failuresMin } = this.#limits;
    const sliceOf = (ms: number) => Math.floor((ms * SLICES) / windowMs);
    this.#events = this.#events.filter(({ atMs }) => sliceOf(atMs) > sliceOf(nowMs) - SLICES);
    const failed = this.#events.filter(({ isFailure }) => isFailure).length;
    return failed >= failuresMin && failed * 100 > this.#events.length * failurePercent;
  }

  #close(): void {
    this.at = "closed";
    this.#events = [];
  }
}
