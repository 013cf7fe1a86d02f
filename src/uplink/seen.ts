/** The small rows of the journal that the downlink keeps. What one turn puts becomes durable with what it appends. */
export interface DownRows {
  get(key: string): Promise<Uint8Array | undefined>;
  entries(range: {
    readonly gte: string;
    readonly lt: string;
  }): AsyncIterable<readonly [key: string, value: Uint8Array]>;
  put(key: string, value: Uint8Array): Promise<void>;
  del(key: string): Promise<void>;
}

/**
 * The identities of commands that were taken, durable and bounded: the oldest is forgotten first. Numbered rows in the
 * order in which they came; the same in memory, where one costs about 100 bytes.
 */
export class Seen {
  readonly #rows: DownRows;
  readonly #prefix: string;
  readonly #max: number;
  /** In order of their numbers. */
  readonly #numbers = new Map<string, number>();
  #last = 0;
  #forgotten = 0;

  constructor(rows: DownRows, prefix: string, max: number) {
    this.#rows = rows;
    this.#prefix = prefix;
    this.#max = max;
  }

  async load(): Promise<void> {
    const range = { gte: `${this.#prefix}/`, lt: `${this.#prefix}0` }; // "0" follows "/"
    for await (const [key, value] of this.#rows.entries(range)) {
      this.#last = Number(key.slice(this.#prefix.length + 1));
      this.#numbers.set(Buffer.from(value).toString("latin1"), this.#last);
    }
    this.#forgetOldest();
  }

  get size(): number {
    return this.#numbers.size;
  }

  /** How many had to make room since the start. */
  get forgotten(): number {
    return this.#forgotten;
  }

  has(identity: string): boolean {
    return this.#numbers.has(identity);
  }

  /** Resolves when it is durable: with whatever this turn hands to the journal. */
  add(identity: string): Promise<void> {
    const before = this.#numbers.get(identity);
    if (before !== undefined) this.#drop(identity, before);
    this.#numbers.set(identity, ++this.#last);
    const added = this.#rows.put(this.#key(this.#last), Buffer.from(identity, "latin1"));
    this.#forgetOldest();
    return added;
  }

  clear(): void {
    for (const [identity, number] of this.#numbers) this.#drop(identity, number);
  }

  #forgetOldest(): void {
    for (const [identity, number] of this.#numbers) {
      if (this.#numbers.size <= this.#max) return;
      this.#drop(identity, number);
      this.#forgotten++;
    }
  }

  #drop(identity: string, number: number): void {
    this.#numbers.delete(identity);
    // Should the deletion fail, a command is remembered for longer than it must be.
    this.#rows.del(this.#key(number)).catch(() => undefined);
  }

  #key(number: number): string {
    return `${this.#prefix}/${String(number).padStart(16, "0")}`;
  }
}
