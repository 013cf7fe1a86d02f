import type { Clock } from "./clock.ts";

/**
 * How far the wall clock can be believed. unset: nobody has set it since the machine was started. free-running: it was set once,
 * or a battery kept it, and it drifts. synchronised: a time server corrects it.
 */
export type ClockQuality = "unset" | "free-running" | "synchronised";

/** Worst first. The place in the list is what the journal writes. */
export const CLOCK_QUALITIES: readonly ClockQuality[] = ["unset", "free-running", "synchronised"];

/** Time since the machine was started, and what its wall clock is worth. */
export interface Timepiece {
  /** Of this start of the machine: 32 hexadecimal digits. */
  readonly bootId: string;
  /** Milliseconds since the machine was started, by its monotonic clock. */
  bootMs(): number;
  quality(): ClockQuality;
}

/** When the entries of a block were accepted, as it is known now: better than it was then, once the clock was set. */
export interface EntryTime {
  readonly bootId: string;
  /** `redated`: the clock became synchronised later, in the same run of the machine. */
  quality(): ClockQuality | "redated";
  /** What to add to an entry's wall time. */
  shiftMs(): number;
  /** Milliseconds from the start of the machine to an entry. */
  bootMs(wallMs: number): number;
  /** Milliseconds from an entry to now, by the monotonic clock; null when the machine was started again since. */
  ageMs(wallMs: number): number | null;
}

/** Something that was accepted at `wallMs` of the clock as it was then. Without `time` nothing more is known. */
export interface Dated {
  readonly wallMs: number;
  readonly time?: EntryTime | null;
}

/** When it was accepted, in milliseconds since the Unix epoch, as it is known now. */
export function datedMs({ wallMs, time }: Dated): number {
  return time ? wallMs + time.shiftMs() : wallMs;
}

/** How old it is in milliseconds: by the monotonic clock if the machine has run since, else by the wall clock. */
export function ageMs(dated: Dated, clock: Pick<Clock, "wallMs">): number {
  return dated.time?.ageMs(dated.wallMs) ?? clock.wallMs() - datedMs(dated);
}
