/**
 * A circuit breaker, without timers: it is asked, and told what became of it.
 *
 *   closed ──more than `failurePercent` of the last `windowMs` failed──▶ open ──tried after `openMs`──▶ probing
 *     ▲                                                                  ▲                               │  │
 *     │                                                                  └────────────failed─────────────┘  │
 *     └───────────────────────────────────────────────────────────────────succeeded─────────────────────────┘
 *
 * After the pattern of Nygard ("Release It!", 2007). `failuresMin` keeps a single failure, which is all of one, from opening it.
 */
export interface BreakerLimits {
  readonly windowMs: number;
  readonly failurePercent: number;
  readonly failuresMin: number;
  readonly openMs: number;
}

export type BreakerState =
  | { readonly at: "closed" }
  /** `untilMs`: monotonic. */
  | { readonly at: "open"; readonly untilMs: number }
  | { readonly at: "probing" };

export class Breaker {
  readonly #limits: BreakerLimits;
  #state: BreakerState = CLOSED;
  #opened = 0;
  /** A ring of slices of the window: the number of each slice, and what was counted in it. */
  readonly #slices = new Float64Array(SLICES).fill(Number.NEGATIVE_INFINITY);
  readonly #succeeded = new Float64Array(SLICES);
  readonly #failed = new Float64Array(SLICES);

  constructor(limits: BreakerLimits) {
    this.#limits = limits;
  }

  get state(): BreakerState {
    return this.#state;
  }

  /** How often it has opened. */
  get opened(): number {
    return this.#opened;
  }

  /** How long nothing may be tried; 0 when something may. */
  waitMs(nowMs: number): number {
    return this.#state.at === "open" ? Math.max(0, this.#state.untilMs - nowMs) : 0;
  }

  /** Something is tried: after its time, that is the probe. */
  tried(nowMs: number): void {
    if (this.#state.at === "open" && this.waitMs(nowMs) === 0) this.#state = PROBING;
  }

  succeeded(nowMs: number): void {
    if (this.#state.at === "closed") this.#count(this.#succeeded, nowMs);
    else if (this.#state.at === "probing") this.#close();
  }

  failed(nowMs: number): void {
    if (this.#state.at === "probing") this.#open(nowMs);
    else if (this.#state.at === "closed") {
      this.#count(this.#failed, nowMs);
      if (this.#isBad(nowMs)) this.#open(nowMs);
    }
  }

  #isBad(nowMs: number): boolean {
    const oldest = this.#sliceAt(nowMs) - SLICES + 1;
    let failed = 0;
    let all = 0;
    for (let i = 0; i < SLICES; i++) {
      if ((this.#slices[i] as number) < oldest) continue;
      failed += this.#failed[i] as number;
      all += (this.#failed[i] as number) + (this.#succeeded[i] as number);
    }
    return failed >= this.#limits.failuresMin && failed * 100 > all * this.#limits.failurePercent;
  }

  #open(nowMs: number): void {
    this.#opened++;
    this.#state = { at: "open", untilMs: nowMs + this.#limits.openMs };
  }

  #close(): void {
    this.#slices.fill(Number.NEGATIVE_INFINITY);
    this.#state = CLOSED;
  }

  #count(counts: Float64Array, nowMs: number): void {
    const slice = this.#sliceAt(nowMs);
    const at = slice % SLICES;
    if (this.#slices[at] !== slice) {
      this.#slices[at] = slice;
      this.#succeeded[at] = 0;
      this.#failed[at] = 0;
    }
    counts[at] = (counts[at] as number) + 1;
  }

  #sliceAt(nowMs: number): number {
    return Math.floor(nowMs / (this.#limits.windowMs / SLICES));
  }
}

const CLOSED: BreakerState = { at: "closed" };
const PROBING: BreakerState = { at: "probing" };
const SLICES = 5;
