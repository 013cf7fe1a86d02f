import type { Log } from "../base/log.ts";
import { DROP_REASONS, type DropReason } from "./cloud.ts";

/** What became of the messages that left the lanes since the start. */
export class Ledger {
  readonly drops: Record<DropReason, number>;
  deliveries = 0;
  readFailures = 0;
  strays = 0;
  /** Refusals of the cloud after which the message is sent again, because `whenRefused` says so. */
  retries = 0;
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
  dropped(reason: DropReason, more = 1): void {
    const before = this.drops[reason];
    const count = before + more;
    this.drops[reason] = count;
    if (hasDoubled(before, count)) this.#log.warn("message given up", { reason, count });
  }

  /** Logged as `dropped` is. */
  unexpected(): void {
    const count = ++this.strays;
    if (hasDoubled(count - 1, count)) {
      this.#log.warn("the cloud sent a packet that nobody has asked for", { count });
    }
  }

  readFailed(): void {
    this.readFailures++;
  }
}

function hasDoubled(before: number, count: number): boolean {
  return before === 0 || Math.floor(Math.log2(count)) > Math.floor(Math.log2(before));
}
