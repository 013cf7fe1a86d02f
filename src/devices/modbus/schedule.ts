import type { PlannedRead } from "./plan.ts";

/** What to do now: a read, or nothing until then. */
export type Turn =
  | { readonly is: "read"; readonly read: PlannedRead }
  | { readonly is: "wait"; readonly untilMs: number };

export interface ScheduleTiming {
  /** How long a slave that failed `failures` times in a row is left alone, with jitter. */
  readonly silentMs: (failures: number) => number;
}

interface Due {
  readonly read: PlannedRead;
  dueMs: number;
}

/** What is known of a slave. */
interface SlaveState {
  /** Requests in a row that had no answer, each with all its retries. */
  failures: number;
  tries: number;
  readyAtMs: number;
}

/**
 * Whose turn it is. Of the reads that are due, the one that waited longest; so a line that is too slow for its plan still
 * serves all alike. A slave without an answer is left alone for a while, longer each time, and costs the others one
 * time-out a try:
 *
 *   answering ──no answer──▶ trying again, up to `retries` ──▶ silent for silentMs ──one try──▶ silent for longer
 *       ▲─────────────────────────answer, an exception too──────────────┴───────────────────────────┘
 *
 * Between two tries a slave rests for its time-out: an answer that comes late is then not taken for that of the next try.
 */
export class Schedule {
  readonly #timing: ScheduleTiming;
  readonly #reads: Due[];
  #openings = 0;
  readonly #slaves = new Map<number, SlaveState>();
  /** Reads that came so late that the next one was due. */
  overruns = 0;

  constructor(reads: readonly PlannedRead[], timing: ScheduleTiming) {
    this.#timing = timing;
    this.#reads = reads.map((read) => ({ read, dueMs: Number.NEGATIVE_INFINITY }));
  }

  next(nowMs: number): Turn {
    let soonestMs = Number.POSITIVE_INFINITY;
    let best: Due | null = null;
    for (const each of this.#reads) {
      const readyMs = Math.max(each.dueMs, this.#stateOf(each.read).readyAtMs);
      if (readyMs > nowMs) soonestMs = Math.min(soonestMs, readyMs);
      else if (best === null || each.dueMs < best.dueMs) best = each;
    }
    return best === null ? { is: "wait", untilMs: soonestMs } : { is: "read", read: best.read };
  }

  /** The slave answered, be it with an exception. */
  answered(read: PlannedRead, nowMs: number): void {
    const state = this.#stateOf(read);
    state.failures = 0;
    state.tries = 0;
    this.#later(read, nowMs);
  }

  /** No answer, or none that was right. */
  failed(read: PlannedRead, nowMs: number): void {
    const state = this.#stateOf(read);
    const { retries, timeoutMs } = read.slave;
    if (state.failures === 0 && state.tries < retries) {
      state.tries += 1;
      state.readyAtMs = nowMs + timeoutMs;
      return;
    }
    state.tries = 0;
    state.failures += 1;
    state.readyAtMs = nowMs + Math.max(timeoutMs, this.#timing.silentMs(state.failures));
    this.#later(read, nowMs);
  }

  /**
   * The line was opened: everyone is asked at once, each time beginning with the next one. A far end that closes after every answer, or
   * because of one request, is heard to the last slave then.
   */
  reset(): void {
    this.#slaves.clear();
    for (const each of this.#reads) each.dueMs = Number.NEGATIVE_INFINITY;
    const first = this.#openings === 0 ? undefined : this.#reads.shift();
    if (first !== undefined) this.#reads.push(first);
    this.#openings += 1;
  }

  isSilent(unit: number): boolean {
    return (this.#slaves.get(unit)?.failures ?? 0) > 0;
  }

  /** Keeps the pace, but makes up for nothing that was missed. */
  #later(read: PlannedRead, nowMs: number): void {
    const each = this.#reads.find((other) => other.read === read);
    if (each === undefined) return;
    const dueMs = each.dueMs + read.intervalMs;
    if (Number.isFinite(dueMs) && dueMs < nowMs) this.overruns += 1;
    each.dueMs = Number.isFinite(dueMs) ? Math.max(dueMs, nowMs) : nowMs + read.intervalMs;
  }

  #stateOf({ slave }: PlannedRead): SlaveState {
    let state = this.#slaves.get(slave.unit);
    if (state === undefined) {
      state = { failures: 0, tries: 0, readyAtMs: Number.NEGATIVE_INFINITY };
      this.#slaves.set(slave.unit, state);
    }
    return state;
  }
}
