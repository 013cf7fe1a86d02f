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

  dropped(reason: string): void {
    this.drops.set(reason, (this.drops.get(reason) ?? 0) + 1);
  }

  closed(reason: string): void {
    this.closes.set(reason, (this.closes.get(reason) ?? 0) + 1);
  }
}
