const IDS_MAX = 65_535;
const FREE = -1;

/**
 * Packet identifiers of one connection and what each was used for (section 2.3.1). Given out round and round, skipping
 * those in use, so that one that is never acknowledged is never given out twice. The MQTT client's own packets take theirs
 * from here too.
 */
export class PacketIds {
  readonly #tokens = new Int32Array(IDS_MAX + 1).fill(FREE);
  #last = 0;
  #used = 0;

  /** An identifier for `token` (0 or more), or null when all are in use. */
  take(token: number): number | null {
    if (this.#used === IDS_MAX) return null;
    do this.#last = (this.#last % IDS_MAX) + 1;
    while (this.#tokens[this.#last] !== FREE);
    this.#tokens[this.#last] = token;
    this.#used++;
    return this.#last;
  }

  /** What the identifier is in use for, or null when it is not. */
  tokenOf(id: number): number | null {
    const token = this.#tokens[id] ?? FREE;
    return token === FREE ? null : token;
  }

  release(id: number): void {
    if (this.tokenOf(id) === null) return;
    this.#tokens[id] = FREE;
    this.#used--;
  }

  get used(): number {
    return this.#used;
  }

  get last(): number {
    return this.#last;
  }
}
