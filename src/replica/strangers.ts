import type { Clock } from "../base/clock.ts";
import { errorFields, type FieldgateError } from "../base/errors.ts";
import type { Log } from "../base/log.ts";
import { countFailure, type ReplicationCounters } from "./counters.ts";

const LOG_EVERY_MS = 60_000;

/** Those that were refused before it was known who they are. Anybody who reaches the port can be: each is counted, and one a minute is logged. */
export class Strangers {
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #counters: ReplicationCounters;
  #unlogged = 0;
  #logMs = Number.NEGATIVE_INFINITY;

  constructor({ clock, log, counters }: { clock: Clock; log: Log; counters: ReplicationCounters }) {
    this.#clock = clock;
    this.#log = log;
    this.#counters = counters;
  }

  refused(error: FieldgateError): void {
    countFailure(this.#counters, error.code);
    this.#unlogged++;
    const nowMs = this.#clock.monotonicMs();
    if (nowMs - this.#logMs < LOG_EVERY_MS) return;
    this.#logMs = nowMs;
    this.#log.warn("a peer was refused", { ...errorFields(error), refused: this.#unlogged });
    this.#unlogged = 0;
  }
}
