import type { Clock } from "./clock.ts";
import { isoTime } from "./wall-time.ts";

export type LogLevel = "debug" | "info" | "warn" | "error";
export type LogFields = Readonly<Record<string, unknown>>;

/** Log lines are a constant message and fields, so that they can be counted and searched. */
export interface Log {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
  /** The same log for a part: its lines carry `part`. */
  part(name: string): Log;
}

const RANK: Record<LogLevel, number> = { debug: 0, info: 1, warn: 2, error: 3 };

/** Writes one JSON object a line to `write`, from `level` upwards. */
export function jsonLog(options: {
  readonly clock: Clock;
  /** A function where it may change. */
  readonly level: LogLevel | (() => LogLevel);
  readonly write: (line: string) => void;
  readonly part?: string;
}): Log {
  const at =
    (level: LogLevel) =>
    (message: string, fields: LogFields = {}) => {
      const least = typeof options.level === "string" ? options.level : options.level();
      if (RANK[level] < RANK[least]) return;
      const time = isoTime(options.clock.wallMs());
      const part = options.part === undefined ? {} : { part: options.part };
      const line = JSON.stringify({ time, level, ...part, message, ...fields });
      options.write(`${line.replace(UNSEEN, escaped)}\n`);
    };
  return {
    debug: at("debug"),
    info: at("info"),
    warn: at("warn"),
    error: at("error"),
    part: (name) => jsonLog({ ...options, part: name }),
  };
}

/** A log that forgets: for tests and for tools that print their own lines. */
export const silentLog: Log = {
  debug() {},
  info() {},
  warn() {},
  error() {},
  part: () => silentLog,
};

/** What JSON leaves as it is, and moves a terminal or turns its text around: a client's id may hold it. */
const UNSEEN = /[\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g;

function escaped(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
}
