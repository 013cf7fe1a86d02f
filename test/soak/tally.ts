/**
 * Follows the numbered messages of each sender at a receiver, in constant memory: each must be the next one, or one that came
 * before (QoS 1 may repeat). One that is further on says that others before it are missing.
 */
export class Tally {
  readonly faults: string[] = [];
  repeated = 0;
  readonly #name: string;
  readonly #next = new Map<string, number>();

  constructor(name: string) {
    this.#name = name;
  }

  /** @param payload `SENDER/NUMBER` */
  came(payload: string): void {
    const [sender = "", text] = payload.split("/");
    const number = Number(text);
    const next = this.#next.get(sender) ?? 0;
    if (number < next) this.repeated++;
    else if (number > next) this.#fault(`${sender}: ${next} to ${number - 1} left out`);
    this.#next.set(sender, Math.max(next, number + 1));
  }

  /** How many messages of the sender have come, from the first. */
  count(sender: string): number {
    return this.#next.get(sender) ?? 0;
  }

  #fault(what: string): void {
    if (this.faults.length < 20) this.faults.push(`${this.#name}: ${what}`);
  }
}
