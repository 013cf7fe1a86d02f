import type { Clock } from "../base/clock.ts";
import type { Log } from "../base/log.ts";
import type { Service } from "../base/service.ts";
import type { ClockQuality, Timepiece } from "../base/timepiece.ts";

/** What the machine tells of its time. */
export interface TimeSources {
  /** Of this start of the machine: 32 hexadecimal digits. */
  readonly bootId: string;
  /** Milliseconds since the machine was started, now. */
  bootMs(): number;
  /** Whether a time server corrects the clock; null where nobody can tell. Does not reject. */
  synchronised(): Promise<boolean | null>;
  /** Whether a clock with a battery kept the time while the machine was off. */
  hasBatteryClock(): Promise<boolean>;
}

export interface TimeStatus {
  readonly bootId: string;
  readonly bootMs: number;
  readonly quality: ClockQuality;
  /** Times that the wall clock was set, by more than a second. */
  readonly steps: number;
  /** By how much it was set last; null: never. */
  readonly lastStepMs: number | null;
}

/** No gateway was built before: an earlier wall clock was never set. 2026-01-01. */
const PLAUSIBLE_FROM_MS = 1_767_225_600_000;
const TICK_MS = 1000;
const STEP_MS_MIN = 1000;
/** So many times as long as at first it takes until the machine is asked again whose answer stays the same. */
const PATIENCE_MAX = 16;

/**
 * Knows what the wall clock is worth: asks the machine, and at once when the wall clock was set, which shows in its distance to
 * the monotonic clock. While the answer stays the same it is asked after `everyMs`, twice that, four times that, up to sixteen
 * times: each question starts a service of systemd, which writes five lines to the machine's log. The kernel takes hours to say that
 * nobody keeps the clock any more.
 */
export class Timekeeper implements Service, Timepiece {
  readonly name = "timekeeper";
  readonly bootId: string;
  readonly #everyMs: number;
  readonly #sources: TimeSources;
  readonly #clock: Clock;
  readonly #log: Log;
  /** From the clock's monotonic time to that since the machine was started. */
  readonly #bootOffsetMs: number;
  readonly #listeners: (() => void)[] = [];
  #quality: ClockQuality;
  #wasSynchronised = false;
  #startMs: number;
  #steps = 0;
  #lastStepMs: number | null = null;
  #looking: Promise<void> | null = null;
  #lookedMs = Number.NEGATIVE_INFINITY;
  #patience = 0;
  #stopTicking = () => {};

  /** @param everyMs at first; 0: the machine is never asked; then only a time that cannot be right counts as unset */
  constructor(
    everyMs: number,
    sources: TimeSources,
    { clock, log }: { readonly clock: Clock; readonly log: Log },
  ) {
    this.#everyMs = everyMs;
    this.#sources = sources;
    this.#clock = clock;
    this.#log = log;
    this.bootId = sources.bootId;
    this.#bootOffsetMs = sources.bootMs() - clock.monotonicMs();
    this.#startMs = this.#wallAtStart();
    this.#quality = this.#judged(null, false);
  }

  /** Calls `listener` when the quality changed or the clock was set. */
  follow(listener: () => void): void {
    this.#listeners.push(listener);
  }

  /**
   * The machine is asked with the first tick, not now, when asking would keep clients waiting; until it has answered, a time that can be
   * right counts as free-running.
   */
  async start(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    this.#stopTicking = this.#clock.every(TICK_MS, () => this.#tick());
  }

  async stop(): Promise<void> {
    this.#stopTicking();
    await this.#looking;
  }

  bootMs(): number {
    return this.#clock.monotonicMs() + this.#bootOffsetMs;
  }

  quality(): ClockQuality {
    return this.#quality;
  }

  status(): TimeStatus {
    return {
      bootId: this.bootId,
      bootMs: Math.round(this.bootMs()),
      quality: this.#quality,
      steps: this.#steps,
      lastStepMs: this.#lastStepMs,
    };
  }

  #tick(): void {
    const stepMs = this.#wallAtStart() - this.#startMs;
    const wasSet = Math.abs(stepMs) >= STEP_MS_MIN;
    if (wasSet) {
      this.#steps += 1;
      this.#lastStepMs = Math.round(stepMs);
      this.#startMs += stepMs;
      this.#log.info("the wall clock was set", { byMs: this.#lastStepMs });
      this.#tell();
    }
    if (this.#everyMs === 0 || this.#looking !== null) return;
    const isDue = this.#clock.monotonicMs() - this.#lookedMs >= this.#everyMs * this.#patience;
    if (!wasSet && !isDue) return;
    this.#patience = wasSet ? 1 : Math.min(Math.max(1, this.#patience * 2), PATIENCE_MAX);
    this.#lookedMs = this.#clock.monotonicMs();
    this.#looking = this.#look().finally(() => {
      this.#looking = null;
    });
  }

  async #look(): Promise<void> {
    const isSynchronised = await this.#sources.synchronised();
    const quality = this.#judged(isSynchronised, await this.#sources.hasBatteryClock());
    if (quality === this.#quality) return;
    this.#patience = 1;
    this.#log.info("the clock is worth", { quality, before: this.#quality });
    this.#quality = quality;
    this.#tell();
  }

  #judged(isSynchronised: boolean | null, hasBatteryClock: boolean): ClockQuality {
    if (isSynchronised === true) {
      this.#wasSynchronised = true;
      return "synchronised";
    }
    if (this.#clock.wallMs() < PLAUSIBLE_FROM_MS) return "unset";
    // Without a battery the machine begins with the time of its last stop, which looks right and is not.
    const wasSet = hasBatteryClock || this.#wasSynchronised || this.#steps > 0;
    return wasSet || isSynchronised === null ? "free-running" : "unset";
  }

  #wallAtStart(): number {
    return this.#clock.wallMs() - this.bootMs();
  }

  #tell(): void {
    for (const listener of this.#listeners) listener();
  }
}
