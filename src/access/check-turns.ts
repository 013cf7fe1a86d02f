/** What waits for its turn, and from where. */
export interface Waiting {
  /** One address, or one /64 of IPv6. */
  readonly network: string;
  /** Somebody there has guessed wrong lately. */
  readonly suspect: boolean;
}

/** What waits of one network. */
interface Line<T> {
  readonly waiting: T[];
  /** How often it had its turn since it began to wait. */
  served: number;
}

/** By network, in the order in which they came. */
type Lines<T> = Map<string, Line<T>>;

/**
 * Who is next to have a password checked: those from where nobody has guessed wrong first; of these one of each network in turn,
 * whatever each sends; and of networks that had as many turns the one that came last. A flood does not keep up with that: its
 * addresses are suspect after one turn, and who logs in meanwhile waits behind none of those that came before. Pure.
 */
export class CheckTurns<T extends Waiting> {
  readonly #max: number;
  readonly #clean: Lines<T> = new Map();
  readonly #suspect: Lines<T> = new Map();
  #size = 0;

  /** @param max how many may wait */
  constructor(max: number) {
    this.#max = max;
  }

  get size(): number {
    return this.#size;
  }

  /** Returns who has to go when there is no room: the last of the network that has most waiting, or of the oldest of these. */
  push(one: T): T | null {
    const lines = one.suspect ? this.#suspect : this.#clean;
    const line = lines.get(one.network);
    if (line === undefined) lines.set(one.network, { waiting: [one], served: 0 });
    else line.waiting.push(one);
    this.#size++;
    return this.#size > this.#max ? this.#surplus() : null;
  }

  shift(): T | undefined {
    const lines = this.#clean.size > 0 ? this.#clean : this.#suspect;
    let next: [string, Line<T>] | null = null;
    for (const each of lines) {
      if (next === null || each[1].served <= next[1].served) next = each;
    }
    if (next === null) return undefined;
    const [network, line] = next;
    line.served++;
    const one = line.waiting.shift();
    this.#taken(lines, network);
    return one;
  }

  #surplus(): T | null {
    const lines = this.#suspect.size > 0 ? this.#suspect : this.#clean;
    let most: [string, Line<T>] | null = null;
    for (const each of lines) {
      if (most === null || each[1].waiting.length > most[1].waiting.length) most = each;
    }
    const gone = most?.[1].waiting.pop() ?? null;
    if (most !== null) this.#taken(lines, most[0]);
    return gone;
  }

  #taken(lines: Lines<T>, network: string): void {
    this.#size--;
    if (lines.get(network)?.waiting.length === 0) lines.delete(network);
  }
}
