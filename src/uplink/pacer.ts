import { TokenBucket } from "../base/token-bucket.ts";
import type { UplinkConfig } from "../config/schema.ts";
import type { DailyBudget } from "./daily-budget.ts";
import { Hours } from "./hours.ts";
import { LocalTime } from "./local-time.ts";
import { LANES, type LaneName } from "./rules.ts";

/** Why a lane that has something to send does not. */
export type Hold = "rate" | "hours" | "budget";

export interface Moment {
  readonly nowMs: number;
  readonly wallMs: number;
}

export interface PacerStatus {
  /** Why the lane waits now; null when nothing holds it. */
  readonly held: Readonly<Record<LaneName, Hold | null>>;
  /** How often a lane that had something to send began to wait, since the start. */
  readonly holds: Readonly<Record<Hold, number>>;
  /** The metered link's day; null without a budget. */
  readonly budget: {
    readonly day: string;
    readonly spentBytes: number;
    readonly bytesMax: number;
  } | null;
}

type PacerConfig = Pick<UplinkConfig, "limits" | "lanes" | "timeZone">;

/**
 * Says when a lane may send: limits of messages and bytes a second (of the uplink and of the lane), hours of the day, and a
 * daily budget of bytes. Pure: time is an argument, the disk is the caller's.
 *
 * An alarm heeds the limits and hours of its own lane only: neither the uplink's limits, nor the budget, hold it. What it
 * sends counts towards both.
 */
export class Pacer {
  readonly budget: DailyBudget | null;
  readonly #local: LocalTime;
  readonly #whole: readonly Meter[];
  readonly #lanes: readonly LanePace[];
  readonly #held: (Hold | null)[];
  readonly #holds: Record<Hold, number> = { rate: 0, hours: 0, budget: 0 };

  constructor(config: PacerConfig, budget: DailyBudget | null) {
    const local = new LocalTime(config.timeZone);
    this.#local = local;
    this.budget = budget;
    this.#whole = metersOf(config.limits);
    this.#lanes = (Object.keys(LANES) as LaneName[]).map((name) => {
      const { hours, ...limits } = config.lanes[name];
      return {
        meters: metersOf(limits),
        hours: hours === undefined ? null : new Hours(hours, local),
      };
    });
    this.#held = this.#lanes.map(() => null);
  }

  /** Whether anything is limited at all. */
  static isNeeded({ limits, lanes }: PacerConfig): boolean {
    const all = [
      limits,
      ...Object.values(lanes).map(({ sharePercent, whenFull, ...rest }) => rest),
    ];
    return all.some((each) => Object.values(each).some((value) => value !== undefined));
  }

  /**
   * How long the lane (0 is alarm) must wait before it sends its next message, in ms: 0 when it need not; Infinity when
   * a part of the budget must be reserved first. Ask for lanes that have something to send.
   */
  waitMs(lane: number, moment: Moment): number {
    const [hold, waitMs] = this.#hold(lane, moment);
    if (hold !== null && this.#held[lane] !== hold) this.#holds[hold]++;
    this.#held[lane] = hold;
    return waitMs;
  }

  /** The lane has nothing to send: nothing holds it. */
  idle(lane: number): void {
    this.#held[lane] = null;
  }

  sent(lane: number, bytes: number, moment: Moment): void {
    for (const { per, bucket } of [...this.#whole, ...(this.#lanes[lane]?.meters ?? [])]) {
      bucket.take(per === "message" ? 1 : bytes, moment.nowMs);
    }
    this.budget?.spend(bytes, this.#local.at(moment.wallMs).day);
  }

  status(): PacerStatus {
    const names = Object.keys(LANES) as LaneName[];
    const held = Object.fromEntries(names.map((name, lane) => [name, this.#held[lane] ?? null]));
    const { budget } = this;
    return {
      held: held as PacerStatus["held"],
      holds: { ...this.#holds },
      budget: budget && {
        day: budget.day,
        spentBytes: budget.spentBytes,
        bytesMax: budget.bytesMax,
      },
    };
  }

  #hold(lane: number, { nowMs, wallMs }: Moment): readonly [Hold | null, number] {
    const pace = this.#lanes[lane] as LanePace;
    const closedMs = pace.hours?.waitMs(wallMs) ?? 0;
    if (closedMs > 0) return ["hours", closedMs];
    const isAlarm = lane === 0;
    if (this.budget !== null && !isAlarm) {
      const verdict = this.budget.verdict(this.#local.at(wallMs).day);
      if (verdict === "must reserve") return [null, Number.POSITIVE_INFINITY];
      if (verdict === "used up") return ["budget", MINUTE_MS - (wallMs % MINUTE_MS)];
    }
    let waitMs = 0;
    for (const { bucket } of isAlarm ? pace.meters : [...this.#whole, ...pace.meters]) {
      waitMs = Math.max(waitMs, bucket.waitMs(nowMs));
    }
    return waitMs > 0 ? ["rate", waitMs] : [null, 0];
  }
}

interface Meter {
  readonly per: "message" | "byte";
  readonly bucket: TokenBucket;
}

interface LanePace {
  readonly meters: readonly Meter[];
  readonly hours: Hours | null;
}

const MINUTE_MS = 60_000;

function metersOf(limits: {
  readonly messagesPerSecond?: number | undefined;
  readonly bytesPerSecond?: number | undefined;
}): Meter[] {
  const { messagesPerSecond, bytesPerSecond } = limits;
  return [
    ...(messagesPerSecond === undefined
      ? []
      : [{ per: "message" as const, bucket: new TokenBucket(messagesPerSecond) }]),
    ...(bytesPerSecond === undefined
      ? []
      : [{ per: "byte" as const, bucket: new TokenBucket(bytesPerSecond) }]),
  ];
}
