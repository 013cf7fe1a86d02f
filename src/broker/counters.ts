/** What the broker has counted since it started. */
export class Counters {
  connections = 0;
  connectionsAccepted = 0;
  /** Messages that came in and were taken. */
  accepted = 0;
  acceptedDurable = 0;
  /** Copies handed to connections. */
  sent = 0;
  /** Messages or copies that were not taken or not delivered, by reason. */
  readonly drops = new Map<string, number>();
  /** Connections that were refused or closed by us, by reason. */
  readonly closes = new Map<string, number>();

  /** Persistent sessions that ended though their client did not end them. */
  readonly sessionsEnded = { expired: 0, forgotten: 0 };

  dropped(reason: string, count = 1): void {
    if (count > 0) this.drops.set(reason, (this.drops.get(reason) ?? 0) + count);
  }

  closed(reason: string): void {
    this.closes.set(reason, (this.closes.get(reason) ?? 0) + 1);
  }
}
