import type { Clock } from "../base/clock.ts";
import { errorFields } from "../base/errors.ts";
import type { Log } from "../base/log.ts";
import type { Service } from "../base/service.ts";
import type { NotifySocket } from "./koffi-notify.ts";

/** What systemd wants of this process, from the environment that it gave it. */
export interface SupervisionOptions {
  /** Where it listens. */
  readonly socket: string;
  /** Without a sign of life for so long it ends the process and starts it again; null: it does not. */
  readonly watchdogMs: number | null;
}

/** What the journal shows of itself. */
export interface Heart {
  /** Calls `listener` after each commit, until the returned function is called. */
  onCommit(listener: () => void): () => void;
  /** A commit of its own; resolves when it is on the disk. */
  commit(): Promise<void>;
  /** When the store is tried again after a failed write, monotonic; null: it does not fail. */
  readonly retryAtMs: number | null;
}

export interface SupervisionTools {
  readonly clock: Clock;
  readonly log: Log;
  readonly open: (path: string) => Promise<NotifySocket>;
  readonly heart: Heart;
  /** A line for `systemctl status`. */
  readonly status: () => string;
}

/** A beat is due four times within the time allowed, so that one late disk costs nothing. */
const BEATS = 4;

/** Null when no systemd that wants to know has started this process. */
export function supervisionOptions(
  env: Readonly<Record<string, string | undefined>>,
  pid: number,
): SupervisionOptions | null {
  const { NOTIFY_SOCKET: socket, WATCHDOG_USEC: allowed, WATCHDOG_PID: watched } = env;
  if (!socket) return null;
  const isMeant = watched === undefined || Number(watched) === pid;
  const watchdogMs = isMeant && Number(allowed) > 0 ? Number(allowed) / 1000 : null;
  return { socket, watchdogMs };
}

/**
 * Tells systemd that the gateway is ready, what it does, that it lives, and that it ends. It lives when this process
 * takes its turns and the journal gets something onto the disk: a commit since the last beat, or, when nobody has written, one
 * made for the purpose. A journal that waits for its next attempt after a failed write lives too: to start again would not mend
 * the disk, and would take from the clients what needs none. One that waits for an answer of the disk does not.
 *
 * Start it last, so that it stops first.
 */
export class Supervision implements Service {
  readonly name = "supervision";
  readonly #options: SupervisionOptions;
  readonly #tools: SupervisionTools;
  #socket: NotifySocket | null = null;
  #told = "";
  #isSilent = false;
  #hasCommitted = false;
  #isProbing = false;
  #ends: readonly (() => void)[] = [];

  constructor(options: SupervisionOptions, tools: SupervisionTools) {
    this.#options = options;
    this.#tools = tools;
  }

  async start(): Promise<void> {
    const { clock, heart, log, open } = this.#tools;
    const { socket, watchdogMs } = this.#options;
    this.#socket = await open(socket).catch((error) => {
      log.error("systemd cannot be told anything", errorFields(error));
      return null;
    });
    this.#told = this.#tools.status();
    this.#tell(`READY=1\nSTATUS=${this.#told}`);
    const everyMs = (watchdogMs ?? 60_000) / BEATS;
    this.#ends = [
      heart.onCommit(() => this.#committed()),
      clock.every(everyMs, () => this.#turn()),
    ];
  }

  async stop(): Promise<void> {
    for (const end of this.#ends) end();
    this.#ends = [];
    this.#tell("STOPPING=1\nSTATUS=stopping");
    this.#socket?.close();
    this.#socket = null;
  }

  #turn(): void {
    const status = this.#tools.status();
    if (status !== this.#told) this.#tell(`STATUS=${status}`);
    this.#told = status;
    const { watchdogMs } = this.#options;
    if (watchdogMs === null) return;
    const { clock, heart } = this.#tools;
    const isRetried =
      heart.retryAtMs !== null && clock.monotonicMs() - heart.retryAtMs < watchdogMs / BEATS;
    if (this.#hasCommitted || isRetried) this.#beat();
    else this.#probe();
  }

  #committed(): void {
    this.#hasCommitted = true;
    if (this.#isProbing) this.#beat();
    this.#isProbing = false;
  }

  #beat(): void {
    this.#hasCommitted = false;
    this.#tell("WATCHDOG=1");
  }

  /** Its commit is the beat. A refusal (the store is full) is an answer too; the journal tells of it itself. */
  #probe(): void {
    if (this.#isProbing) return;
    this.#isProbing = true;
    this.#tools.heart.commit().catch(() => this.#committed());
  }

  #tell(text: string): void {
    try {
      this.#socket?.send(text);
      this.#isSilent = false;
    } catch (error) {
      if (!this.#isSilent) this.#tools.log.warn("systemd was not reached", errorFields(error));
      this.#isSilent = true;
    }
  }
}
