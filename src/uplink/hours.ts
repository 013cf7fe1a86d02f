import type { LocalTime } from "./local-time.ts";

/**
 * Hours of the day in which a lane may send, by the clock on the wall in a time zone.
 *
 * Each moment is judged by what the clock on the wall shows then. So "02:00-03:00" does not happen in the night in which
 * that hour is left out, and lasts two hours in the night in which it comes twice; "22:00-06:00" is an hour shorter or
 * longer.
 */
export class Hours {
  readonly #spans: readonly Span[];
  readonly #local: LocalTime;

  /**
   * @param spans as `HH:MM-HH:MM`, the end excluded; one that ends before it begins goes over midnight
   * @param local the clock on the wall
   */
  constructor(spans: readonly string[], local: LocalTime) {
    this.#spans = spans.map(parseSpan);
    this.#local = local;
  }

  isOpen(wallMs: number): boolean {
    const { minute } = this.#local.at(wallMs);
    return this.#spans.some((span) => contains(span, minute));
  }

  /** How long to wait before asking again, in ms; 0 when it is open. The clock on the wall may jump: not too long. */
  waitMs(wallMs: number): number {
    return this.isOpen(wallMs) ? 0 : MINUTE_MS - (wallMs % MINUTE_MS);
  }
}

interface Span {
  readonly from: number;
  readonly to: number;
}

const MINUTE_MS = 60_000;

function parseSpan(text: string): Span {
  const [from = "", to = ""] = text.split("-");
  return { from: minutesOf(from), to: minutesOf(to) };
}

function minutesOf(text: string): number {
  const [hours, minutes] = text.split(":");
  return Number(hours) * 60 + Number(minutes);
}

function contains({ from, to }: Span, minute: number): boolean {
  return from < to ? from <= minute && minute < to : from <= minute || minute < to;
}
