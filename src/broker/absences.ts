import type { Clock } from "../base/clock.ts";
import { errorFields } from "../base/errors.ts";
import type { Log } from "../base/log.ts";
import type { Rows } from "../base/rows.ts";

/** That a client is away. */
export interface Absence {
  /** For so long has the gateway run without it. */
  readonly awayMs: number;
  /** Since when, by the wall clock; null where that clock was never set. */
  readonly sinceMs: number | null;
}

interface Begun {
  readonly ranMs: number;
  /** As an earlier process has written it down; undefined: it began in this one. */
  readonly sinceMs?: number | null;
  isKept: boolean;
}

export interface AbsenceTools {
  readonly clock: Pick<Clock, "monotonicMs" | "wallMs">;
  readonly log: Log;
  /** Whether the wall clock was ever set. */
  readonly wallIsSure: () => boolean;
  readonly rows: (space: string) => Rows;
}

/** What a crash forgets of an absence, at most: it counts as that much shorter. */
const KEEP_EVERY_MS = 600_000;
const KEPT_AT_ONCE = 1000;
const RAN_KEY = "ms";

/**
 * How long the clients of persistent sessions are away, in time that the gateway has run: its monotonic clock, added up over all its
 * starts. So no wall clock makes a session old, whatever year it shows, and a gateway that was off for a month, when nobody could
 * come, finds all sessions as young as it left them. Two spaces of rows, written every ten minutes and at a stop:
 *
 *   ran    "ms"        → decimal: how long the gateway had run in all
 *   away   client id   → JSON { ranMs, sinceMs }: that figure when the client left; the wall time, or null
 */
export class Absences {
  readonly #tools: AbsenceTools;
  readonly #away: Rows;
  readonly #ran: Rows;
  readonly #begun = new Map<string, Begun>();
  readonly #startMs: number;
  #ranBeforeMs = 0;
  #keptMs: number;

  constructor(tools: AbsenceTools) {
    this.#tools = tools;
    this.#away = tools.rows("away");
    this.#ran = tools.rows("ran");
    this.#startMs = tools.clock.monotonicMs();
    this.#keptMs = this.#startMs;
  }

  /** Takes up what an earlier process has written down of these clients, none of whom is here yet. */
  async load(clientIds: {
    has(clientId: string): boolean;
    keys(): Iterable<string>;
  }): Promise<void> {
    this.#ranBeforeMs = Number(textOf(await this.#ran.get(RAN_KEY))) || 0;
    for await (const [clientId, row] of this.#away.entries({})) {
      const { ranMs, sinceMs } = JSON.parse(textOf(row)) as Required<Begun>;
      this.#begun.set(clientId, { ranMs, sinceMs, isKept: true });
      this.#ranBeforeMs = Math.max(this.#ranBeforeMs, ranMs);
      if (!clientIds.has(clientId)) this.forget(clientId); // an older version has ended it
    }
    for (const clientId of clientIds.keys()) this.saw(clientId, false);
  }

  /** For how long this process has run. */
  get upMs(): number {
    return this.#tools.clock.monotonicMs() - this.#startMs;
  }

  /** How many are away. */
  get count(): number {
    return this.#begun.size;
  }

  /** To be called about once a second, and when it comes. */
  saw(clientId: string, isHere: boolean): void {
    if (isHere) this.forget(clientId);
    else if (!this.#begun.has(clientId)) {
      this.#begun.set(clientId, { ranMs: this.#ranMs, isKept: false });
    }
  }

  /** It is back, or its session has ended. */
  forget(clientId: string): void {
    const begun = this.#begun.get(clientId);
    if (begun === undefined) return;
    this.#begun.delete(clientId);
    if (begun.isKept) this.#away.del(clientId).catch((error) => this.#failed(error));
  }

  /** Null when it is here, or has no persistent session. */
  of(clientId: string): Absence | null {
    const begun = this.#begun.get(clientId);
    if (begun === undefined) return null;
    const awayMs = this.#ranMs - begun.ranMs;
    return { awayMs, sinceMs: this.#sinceMs(begun, awayMs) };
  }

  /** To be called about once a second: writes down what was not yet, when it is time; `now`: all of it. */
  keep(now = false): void {
    const nowMs = this.#tools.clock.monotonicMs();
    if (this.#begun.size === 0 || (!now && nowMs - this.#keptMs < KEEP_EVERY_MS)) return;
    this.#put(this.#ran, RAN_KEY, String(this.#ranMs));
    let left = now ? Number.POSITIVE_INFINITY : KEPT_AT_ONCE;
    for (const [clientId, begun] of this.#begun) {
      if (begun.isKept) continue;
      if (left-- === 0) return; // the others a second later
      begun.isKept = true;
      const { ranMs } = begun;
      const sinceMs = this.#sinceMs(begun, this.#ranMs - ranMs);
      this.#put(this.#away, clientId, JSON.stringify({ ranMs, sinceMs }), () => {
        begun.isKept = false;
      });
    }
    this.#keptMs = nowMs;
  }

  get #ranMs(): number {
    return this.#ranBeforeMs + Math.round(this.upMs);
  }

  /** Of one that began in this process by the clock as it is now: it may have been set since. */
  #sinceMs({ sinceMs }: Begun, awayMs: number): number | null {
    if (sinceMs !== undefined) return sinceMs;
    return this.#tools.wallIsSure() ? Math.round(this.#tools.clock.wallMs() - awayMs) : null;
  }

  #put(rows: Rows, key: string, text: string, failed = () => {}): void {
    rows.put(key, Buffer.from(text)).catch((error) => {
      failed();
      this.#failed(error);
    });
  }

  #failed(error: unknown): void {
    this.#tools.log.warn("who is away is not written down", errorFields(error));
  }
}

function textOf(row: Uint8Array | undefined): string {
  return Buffer.from(row ?? []).toString();
}
