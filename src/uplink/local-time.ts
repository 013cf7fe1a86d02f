/** A moment as the clock on the wall and the calendar beside it show it. */
export interface LocalMoment {
  /** Minutes since midnight, 0 to 1439, as the clock shows them. */
  readonly minute: number;
  /** YYYY-MM-DD. */
  readonly day: string;
}

/** Wall time in a time zone, by the rules for summer time that the machine knows. */
export class LocalTime {
  readonly #format: Intl.DateTimeFormat;
  #minuteMs = Number.NaN;
  #moment: LocalMoment = { minute: 0, day: "" };

  /**
   * @param timeZone IANA name, such as Europe/Berlin
   * @throws RangeError when there is no such zone
   */
  constructor(timeZone: string) {
    this.#format = new Intl.DateTimeFormat("en-GB", {
      timeZone,
      calendar: "iso8601",
      hourCycle: "h23",
      year: "numeric",
      month: "2-digit",
      day: "2-digit",
      hour: "2-digit",
      minute: "2-digit",
    });
  }

  /** Reckoned once a minute: zones differ by whole minutes. */
  at(wallMs: number): LocalMoment {
    const minuteMs = Math.floor(wallMs / 60_000) * 60_000;
    if (minuteMs === this.#minuteMs) return this.#moment;
    const parts = new Map(
      this.#format.formatToParts(minuteMs).map(({ type, value }) => [type, value]),
    );
    const part = (name: Intl.DateTimeFormatPartTypes) => parts.get(name) ?? "";
    this.#minuteMs = minuteMs;
    this.#moment = {
      minute: Number(part("hour")) * 60 + Number(part("minute")),
      day: `${part("year").padStart(4, "0")}-${part("month")}-${part("day")}`,
    };
    return this.#moment;
  }
}
