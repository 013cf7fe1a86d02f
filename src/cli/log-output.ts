import type { Clock } from "../base/clock.ts";
import { jsonLog } from "../base/log.ts";
import type { LogStatus } from "../gateway-status.ts";

/** How long the last lines may take to be read, once everything else has ended. */
const LAST_LINES_MS_MAX = 1000;

/** What takes lines: standard error. */
export interface LogSink {
  /** Bytes that it has taken and nobody has read. */
  readonly writableLength: number;
  /** @param passed called once the line is on its way */
  write(line: string, passed: () => void): unknown;
}

/**
 * The gateway's log, on its way to whoever reads it: journald, a file, a terminal. Who has stopped reading, and is still there,
 * neither stops the gateway nor takes its memory: beyond `pendingBytesMax` lines are dropped and counted, until all that waits is read.
 */
export class LogOutput {
  /** Until the configuration says otherwise. */
  pendingBytesMax = 2 ** 20;
  readonly #sink: LogSink;
  readonly #clock: Clock;
  #dropped = 0;
  /** Of those, how many the log has not told yet. */
  #untold = 0;

  constructor(sink: LogSink, clock: Clock) {
    this.#sink = sink;
    this.#clock = clock;
  }

  /** Never waits. */
  write(line: string): void {
    const isFull = this.#sink.writableLength + line.length > this.pendingBytesMax;
    // One lost line is followed by others until there is room for many: gaps are few, and each is told.
    if (this.#untold === 0 && !isFull) {
      this.#sink.write(line, this.#passed);
      return;
    }
    this.#dropped += 1;
    this.#untold += 1;
  }

  status(): Omit<LogStatus, "leftOut" | "forgotten"> {
    const { writableLength } = this.#sink;
    return { pendingBytes: writableLength, dropped: this.#dropped, isRead: this.#untold === 0 };
  }

  /** Not on `drain`: a stream says that only of more than it likes to hold, which may be more than may wait here. */
  readonly #passed = () => {
    const lines = this.#untold;
    if (lines === 0 || this.#sink.writableLength > 0) return;
    this.#untold = 0;
    const log = jsonLog({ clock: this.#clock, level: "warn", write: (line) => this.write(line) });
    log.warn("nobody read the log: lines are lost", { lines });
  };
}

/**
 * Standard error, of which no write waits for its reader. Node writes to a terminal until all of it is there, and a terminal
 * may be held by Ctrl-S, or be at the far end of an SSH connection that hangs.
 */
export function unhurriedStderr(): NodeJS.WriteStream {
  const { stderr } = process;
  const handle: unknown = Reflect.get(stderr, "_handle");
  if (stderr.isTTY && isTurnable(handle)) handle.setBlocking(false);
  return stderr;
}

/** Lets the process end although nobody reads its last lines: they would keep it. */
export function endUnread(): void {
  const { stderr } = process;
  setTimeout(() => {
    if (stderr.writableLength > 0) process.exit();
  }, LAST_LINES_MS_MAX).unref();
}

interface Turnable {
  setBlocking(isBlocking: boolean): unknown;
}

function isTurnable(handle: unknown): handle is Turnable {
  return typeof handle === "object" && handle !== null && "setBlocking" in handle;
}
