/** What was written, as the kernel and the journal count it at one moment. All are counts that only grow, until they begin anew. */
export interface WriteCounts {
  /** Which start of the machine and which run of the program the counts belong to: they begin anew with each. */
  readonly boot: string;
  readonly run: string;
  /** Written by the whole machine to the device that holds the store; null where it does not tell. */
  readonly deviceBytes: number | null;
  /** Written by this program: the log of LevelDB, its tables, what it merges, whole pages; null where nothing tells. */
  readonly programBytes: number | null;
  /** Messages that became durable, and the bytes of their topics and payloads. */
  readonly messages: number;
  readonly messageBytes: number;
  /** How long this run has lasted, by a clock that is never set. */
  readonly runMs: number;
}

/** Sums over all runs since the journal began. `runMs` is time at work: rates are of it, so no clock that is set disturbs them. */
interface Totals {
  readonly runMs: number;
  readonly deviceBytes: number;
  readonly programBytes: number;
  readonly messages: number;
  readonly messageBytes: number;
}

/** What is kept between runs. `marks` are the totals about every hour, of the last day at work, the oldest first. */
export interface Wear extends Totals {
  readonly sinceMs: number;
  readonly last: WriteCounts;
  readonly marks: readonly Totals[];
}

/** What the journal costs the card. Rates are of the last `windowMs` at work, about a day; null where there is nothing to tell. */
export interface FlashLife {
  /** Wall time at which counting began: with this journal, not with the card. */
  readonly sinceMs: number;
  /** Written since then to the device by the whole machine, and by the gateway alone. */
  readonly deviceBytes: number | null;
  readonly programBytes: number | null;
  readonly windowMs: number;
  /** Written by the gateway for each message that became durable, and for each byte of topic and payload. */
  readonly bytesPerMessage: number | null;
  readonly writeAmplification: number | null;
  /** What the whole machine writes to the device a day; where that is not told, what the gateway does. */
  readonly bytesPerDay: number | null;
  readonly enduranceBytes: number | null;
  /** Until the stated endurance is used up at this rate, had the card been new when counting began. */
  readonly yearsLeft: number | null;
}

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const YEAR_MS = 365.25 * DAY_MS;
/** No rate is told of less. */
const WINDOW_MS_MIN = 600_000;
/** Nor a share of a message of fewer: what is written at rest would be theirs. */
const MESSAGES_MIN = 1000;
const NONE: Totals = { runMs: 0, deviceBytes: 0, programBytes: 0, messages: 0, messageBytes: 0 };

/** Counting begins: what was written before is not known. */
export function newWear(counts: WriteCounts, wallMs: number): Wear {
  return { ...NONE, sinceMs: wallMs, last: counts, marks: [NONE] };
}

/**
 * Adds what was counted since the last time. What the machine wrote while the gateway was down is part of the sum and of no rate;
 * of a machine that was started meanwhile, what it wrote since then.
 */
export function observe(wear: Wear, counts: WriteCounts): Wear {
  const { last } = wear;
  const sameBoot = counts.boot === last.boot;
  const sameRun = sameBoot && counts.run === last.run;
  const deviceBytes = grown(last.deviceBytes, counts.deviceBytes, sameBoot);
  const totals: Totals = {
    runMs: wear.runMs + grown(last.runMs, counts.runMs, sameRun),
    deviceBytes: wear.deviceBytes + deviceBytes,
    programBytes: wear.programBytes + grown(last.programBytes, counts.programBytes, sameRun),
    messages: wear.messages + grown(last.messages, counts.messages, sameRun),
    messageBytes: wear.messageBytes + grown(last.messageBytes, counts.messageBytes, sameRun),
  };
  const marks = sameRun
    ? wear.marks
    : wear.marks.map((mark) => ({ ...mark, deviceBytes: mark.deviceBytes + deviceBytes }));
  return { ...totals, sinceMs: wear.sinceMs, last: counts, marks: marked(marks, totals) };
}

/** How long the card lasts. */
export function flashLife(wear: Wear, enduranceBytes: number | null): FlashLife {
  const from = wear.marks[0] ?? NONE;
  const windowMs = wear.runMs - from.runMs;
  const knowsDevice = wear.last.deviceBytes !== null;
  const knowsProgram = wear.last.programBytes !== null;
  const written = wear.programBytes - from.programBytes;
  const worn = knowsDevice ? wear.deviceBytes - from.deviceBytes : written;
  const isLong = windowMs >= WINDOW_MS_MIN;
  const bytesPerDay = isLong && (knowsDevice || knowsProgram) ? (worn / windowMs) * DAY_MS : null;
  const used = knowsDevice ? wear.deviceBytes : wear.programBytes;
  const messages = wear.messages - from.messages;
  const isTold = isLong && knowsProgram && messages >= MESSAGES_MIN;
  return {
    sinceMs: wear.sinceMs,
    deviceBytes: knowsDevice ? wear.deviceBytes : null,
    programBytes: knowsProgram ? wear.programBytes : null,
    windowMs,
    bytesPerMessage: isTold ? ratio(written, messages) : null,
    writeAmplification: isTold ? ratio(written, wear.messageBytes - from.messageBytes) : null,
    bytesPerDay,
    enduranceBytes,
    yearsLeft: yearsLeft(enduranceBytes, used, bytesPerDay),
  };
}

function yearsLeft(endurance: number | null, used: number, perDay: number | null): number | null {
  if (endurance === null || perDay === null || perDay === 0) return null;
  return ((Math.max(0, endurance - used) / perDay) * DAY_MS) / YEAR_MS;
}

/** Within a run or a boot counts are compared; those of a new one began at 0. */
function grown(before: number | null, now: number | null, isSame: boolean): number {
  if (now === null || (isSame && before === null)) return 0;
  return isSame ? Math.max(0, now - (before ?? 0)) : now;
}

/** A mark an hour; of those that are a day old, the newest stays. */
function marked(marks: readonly Totals[], totals: Totals): readonly Totals[] {
  const newest = marks.at(-1);
  if (newest !== undefined && totals.runMs - newest.runMs < HOUR_MS) return marks;
  const isOld = (mark: Totals | undefined) =>
    mark !== undefined && totals.runMs - mark.runMs >= DAY_MS;
  const begin = marks.findIndex((_, i) => !isOld(marks[i + 1]));
  return [...marks.slice(begin), totals];
}

function ratio(bytes: number, count: number): number | null {
  return count > 0 ? bytes / count : null;
}
