import type { Log } from "../base/log.ts";
import { DROP_REASONS, type DropReason } from "./cloud.ts";

/** What became of the messages that left the lanes since the start. */
export class Ledger {
  readonly drops: Record<DropReason, number>;
  deliveries = 0;
  readFailures = 0;
  lastAcknowledgedMs: number | null = null;
  readonly #log: Log;

  constructor(log: Log) {
    this.#log = log;
    this.drops = Object.fromEntries(DROP_REASONS.map((reason) => [reason, 0])) as Record<
      DropReason,
      number
    >;
  }

  delivered(nowMs: number): void {
    this.deliveries++;
    this.lastAcknowledgedMs = nowMs;
  }

  /** Logged when the count doubles: a lane full of them must not fill the disk with lines. */
  dropped(reason: DropReason): void {
    const count = ++this.drops[reason];
    if ((count & (count - 1)) === 0) this.#log.warn("message given up", { reason, count });
  }

  readFailed(): void {
    this.readFailures++;
  }
}
