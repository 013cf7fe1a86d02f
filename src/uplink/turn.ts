/**
 * Whose turn it is to send: the first lane that has something, but a lane with a guaranteed share never waits for ever.
 *
 * A lane that has something to send and is passed over gains its share as credit; with a whole credit it goes first. A
 * lane that has nothing to send saves nothing up. With shares of 0, 1/4 and 1/16 and all lanes full, lane 1 gets at
 * least a quarter and lane 2 a sixteenth of the messages, and lane 0 all the rest.
 */
export class Turn {
  readonly #shares: readonly number[];
  readonly #credits: number[];

  /** @param shares of the lanes in order of priority, each from 0 to 1; together at most 1 */
  constructor(shares: readonly number[]) {
    this.#shares = shares;
    this.#credits = shares.map(() => 0);
  }

  /** The index of the lane that sends next, or -1. Bit n of `ready` says that lane n has something to send. */
  next(ready: number): number {
    if (ready === 0) return -1;
    let first = -1;
    let owed = -1;
    for (let lane = 0; lane < this.#shares.length; lane++) {
      if ((ready & (1 << lane)) === 0) {
        this.#credits[lane] = 0;
        continue;
      }
      const credit = (this.#credits[lane] as number) + (this.#shares[lane] as number);
      this.#credits[lane] = credit;
      if (first === -1) first = lane;
      if (owed === -1 && credit >= 1) owed = lane;
    }
    const chosen = owed === -1 ? first : owed;
    this.#credits[chosen] = Math.max(0, (this.#credits[chosen] as number) - 1);
    return chosen;
  }
}
