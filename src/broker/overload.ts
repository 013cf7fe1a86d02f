import type { Log } from "../base/log.ts";

export interface OverloadLimits {
  /** How late the event loop may be; 0: is not looked at. */
  readonly overloadLagMs: number;
  /** Memory of the process; 0: is not looked at. */
  readonly overloadMemoryBytes: number;
}

/**
 *   calm ──over the mark, twice──▶ shedding ──still, five times more──▶ refusing
 *     ▲                              │  ▲                                 │
 *     └──below 80 % of it, 10 times──┘  └───────below, 10 times───────────┘
 *
 * While shedding, messages of QoS 0 are dropped as they come; while refusing, new connections are closed as well.
 */
export type OverloadState = "calm" | "shedding" | "refusing";

export interface OverloadStatus {
  readonly state: OverloadState;
  /** How late the event loop was when it was last looked at, and the most since the start. */
  readonly lagMs: number;
  readonly lagMsMost: number;
  readonly memoryBytes: number;
  /** How often it began to shed. */
  readonly times: number;
}

const BEGINS = 2;
const REFUSES = 5;
const ENDS = 10;
const BELOW = 0.8;

/** Sees when there is more to do than can be done, by how late it is called and by memory. Pure. */
export class Overload {
  state: OverloadState = "calm";
  readonly #limits: OverloadLimits;
  readonly #memoryBytes: () => number;
  readonly #log: Log;
  #lagMs = 0;
  #lagMsMost = 0;
  #bytes = 0;
  #over = 0;
  #below = 0;
  #times = 0;

  constructor(limits: OverloadLimits, memoryBytes: () => number, log: Log) {
    this.#limits = limits;
    this.#memoryBytes = memoryBytes;
    this.#log = log;
  }

  get sheds(): boolean {
    return this.state !== "calm";
  }

  get refuses(): boolean {
    return this.state === "refusing";
  }

  /**
   * Called every now and then: the marks above are in such looks, ten a second unless all is quiet.
   * @param lateMs than it was to be
   * @returns whether the next look is not to wait
   */
  look(lateMs: number): boolean {
    const { overloadLagMs, overloadMemoryBytes } = this.#limits;
    this.#lagMs = lateMs;
    this.#lagMsMost = Math.max(this.#lagMsMost, lateMs);
    this.#bytes = this.#memoryBytes();
    const share = Math.max(
      overloadLagMs > 0 ? this.#lagMs / overloadLagMs : 0,
      overloadMemoryBytes > 0 ? this.#bytes / overloadMemoryBytes : 0,
    );
    this.#over = share > 1 ? this.#over + 1 : 0;
    this.#below = share < BELOW ? this.#below + 1 : 0;
    this.#step();
    return this.sheds || share >= BELOW;
  }

  status(): OverloadStatus {
    return {
      state: this.state,
      lagMs: Math.round(this.#lagMs),
      lagMsMost: Math.round(this.#lagMsMost),
      memoryBytes: this.#bytes,
      times: this.#times,
    };
  }

  #step(): void {
    if (this.state === "calm" && this.#over >= BEGINS) {
      this.#times++;
      this.#become("shedding");
    } else if (this.state === "shedding" && this.#over >= BEGINS + REFUSES) {
      this.#become("refusing");
    } else if (this.state === "refusing" && this.#below >= ENDS) {
      this.#become("shedding");
    } else if (this.state === "shedding" && this.#below >= ENDS) {
      this.#become("calm");
    }
  }

  #become(state: OverloadState): void {
    this.state = state;
    this.#below = 0;
    const { lagMs, memoryBytes } = this.status();
    if (state === "calm") this.#log.info("no longer overloaded", { lagMs, memoryBytes });
    else this.#log.warn("overloaded", { state, lagMs, memoryBytes });
  }
}
