import type { Clock } from "../base/clock.ts";
import type { Service } from "../base/service.ts";
import { LANES, type LaneName } from "./rules.ts";
import type { Uplink } from "./uplink.ts";

/** How the uplink gets on, by what the cloud has acknowledged and not by whether it is connected. */
export interface ProgressStatus {
  /** Over the last half minute; null before there are two samples. */
  readonly deliveredPerSecond: number | null;
  readonly acceptedPerSecond: number | null;
  readonly queued: number;
  /** Age of the oldest message that the cloud has not acknowledged, by the wall clock; null when none waits. */
  readonly oldestMs: number | null;
  /** Until nothing waits at these rates; null when nothing waits, or more comes than goes. */
  readonly drainSeconds: number | null;
  /** Since the cloud last acknowledged something; null before the first time. */
  readonly silentMs: number | null;
}

export interface ProgressTools {
  readonly clock: Clock;
  readonly uplink: Pick<Uplink, "status" | "desk">;
  /** Entries that each lane has ever taken. */
  readonly laneTotals: () => readonly number[];
}

const SAMPLE_MS = 5000;
const SAMPLES_MAX = 7;

interface Sample {
  readonly atMs: number;
  readonly accepted: number;
  readonly delivered: number;
  readonly queued: number;
}

/** Watches how fast the lanes fill and empty: a look every five seconds, at the oldest message only while something waits. */
export class Progress implements Service {
  readonly name = "uplink progress";
  readonly #tools: ProgressTools;
  readonly #samples: Sample[] = [];
  #oldestWallMs: number | null = null;
  #looking: Promise<void> = Promise.resolve();
  #stop: () => void = () => {};

  constructor(tools: ProgressTools) {
    this.#tools = tools;
  }

  async start(): Promise<void> {
    this.#sample();
    this.#stop = this.#tools.clock.every(SAMPLE_MS, () => this.#sample());
  }

  async stop(): Promise<void> {
    this.#stop();
    await this.#looking;
  }

  status(): ProgressStatus {
    const { clock, uplink } = this.#tools;
    const { lastAcknowledgedMs } = uplink.status();
    const first = this.#samples[0];
    const now = this.#now();
    const seconds = first === undefined ? 0 : (now.atMs - first.atMs) / 1000;
    const told = first !== undefined && seconds >= 1;
    const perSecond = (of: "accepted" | "delivered" | "queued") =>
      told ? (now[of] - first[of]) / seconds : null;
    const shrunk = -(perSecond("queued") ?? 0);
    const oldest = now.queued === 0 ? null : this.#oldestWallMs;
    return {
      deliveredPerSecond: perSecond("delivered"),
      acceptedPerSecond: perSecond("accepted"),
      queued: now.queued,
      oldestMs: oldest === null ? null : Math.max(0, clock.wallMs() - oldest),
      drainSeconds: now.queued === 0 || shrunk <= 0 ? null : now.queued / shrunk,
      silentMs: lastAcknowledgedMs === null ? null : clock.monotonicMs() - lastAcknowledgedMs,
    };
  }

  #now(): Sample {
    const { clock, uplink, laneTotals } = this.#tools;
    const totals = laneTotals();
    const { lanes, delivered } = uplink.status();
    let [accepted, queued] = [0, 0];
    for (const name of LANE_NAMES) {
      accepted += totals[LANES[name]] ?? 0;
      queued += lanes[name].queued;
    }
    return { atMs: clock.monotonicMs(), accepted, delivered, queued };
  }

  #sample(): void {
    const now = this.#now();
    this.#samples.push(now);
    if (this.#samples.length > SAMPLES_MAX) this.#samples.shift();
    if (now.queued === 0) this.#oldestWallMs = null;
    else this.#looking = this.#lookAtOldest();
  }

  async #lookAtOldest(): Promise<void> {
    const { lanes } = this.#tools.uplink.status();
    const ages: number[] = [];
    try {
      for (const name of LANE_NAMES) {
        if (lanes[name].queued === 0) continue;
        const [oldest] = await this.#tools.uplink.desk.peek(name, 1);
        if (oldest !== undefined) ages.push(oldest.wallMs);
      }
    } catch {
      return; // the store is closed just now: what was seen last stands
    }
    this.#oldestWallMs = ages.length === 0 ? null : Math.min(...ages);
  }
}

const LANE_NAMES = Object.keys(LANES) as LaneName[];
