import type { Clock } from "./clock.ts";
import type { Log, LogFields, LogLevel } from "./log.ts";
import { TokenBucket } from "./token-bucket.ts";

/** How often a line of one kind may come. */
export interface RepeatLimits {
  /** So many at once; beyond them one in each `everyMs`. */
  readonly most: number;
  readonly everyMs: number;
  /** Kinds that are known apart. Of more, those of which nothing was heard for longest begin anew. */
  readonly kindsMax: number;
}

/** Lines of one kind say the same message of the same thing, for the same reason. */
interface Kind {
  bucket: TokenBucket;
  leftOut: number;
}

/** Fields that say what a line is about, and why. */
const ABOUT = ["code", "device", "endpoint", "peer", "gateway", "lane", "name", "reason"];
const LEVELS = ["debug", "info", "warn", "error"] as const satisfies readonly LogLevel[];

/**
 * Keeps what fails again and again, for days, out of the log after the first times: a port that flaps would write the card full with it. What
 * is left out is counted, and the next line of its kind says `leftOut`. Debug lines all pass: who asks for them wants them.
 */
export class LogRepeats {
  #limits: RepeatLimits = { most: 20, everyMs: 600_000, kindsMax: 1000 };
  readonly #clock: Pick<Clock, "monotonicMs">;
  readonly #kinds = new Map<string, Kind>();
  #leftOut = 0;
  #forgotten = 0;

  constructor(clock: Pick<Clock, "monotonicMs">) {
    this.#clock = clock;
  }

  /** May be set at any time: others than before begin anew for each kind. */
  set limits(limits: RepeatLimits) {
    const { most, everyMs } = this.#limits;
    this.#limits = limits;
    this.#forgetOldest();
    if (limits.most === most && limits.everyMs === everyMs) return;
    for (const kind of this.#kinds.values()) kind.bucket = bucketOf(limits);
  }

  /** Lines left out since the start. */
  get leftOut(): number {
    return this.#leftOut;
  }

  /** Kinds that were forgotten for want of room though there was something to remember: their next lines were written as if they said something new. */
  get forgotten(): number {
    return this.#forgotten;
  }

  /** The same log without repetitions. */
  thinned(log: Log, part = ""): Log {
    const at =
      (level: LogLevel) =>
      (message: string, fields: LogFields = {}) => {
        const before = level === "debug" ? 0 : this.#admit(kindOf(part, message, fields));
        if (before === null) return;
        log[level](message, before === 0 ? fields : { ...fields, leftOut: before });
      };
    const [debug, info, warn, error] = LEVELS.map(at) as [Write, Write, Write, Write];
    return { debug, info, warn, error, part: (name) => this.thinned(log.part(name), name) };
  }

  /** How many of its kind were left out before; null: this one is, too. */
  #admit(name: string): number | null {
    const nowMs = this.#clock.monotonicMs();
    const kind = this.#kinds.get(name) ?? { bucket: bucketOf(this.#limits), leftOut: 0 };
    this.#kinds.delete(name);
    this.#kinds.set(name, kind);
    this.#forgetOldest();
    if (kind.bucket.waitMs(nowMs) > 0) {
      kind.leftOut += 1;
      this.#leftOut += 1;
      return null;
    }
    kind.bucket.take(1, nowMs);
    const before = kind.leftOut;
    kind.leftOut = 0;
    return before;
  }

  #forgetOldest(): void {
    const nowMs = this.#clock.monotonicMs();
    for (const [oldest, { bucket, leftOut }] of this.#kinds) {
      if (this.#kinds.size <= this.#limits.kindsMax) return;
      this.#kinds.delete(oldest);
      if (leftOut > 0 || !bucket.isFull(nowMs)) this.#forgotten++; // else it is as new anyway
    }
  }
}

type Write = Log["info"];

function bucketOf({ most, everyMs }: RepeatLimits): TokenBucket {
  return new TokenBucket(1000 / everyMs, most);
}

function kindOf(part: string, message: string, fields: LogFields): string {
  return JSON.stringify([part, message, ...ABOUT.map((name) => fields[name])]);
}
