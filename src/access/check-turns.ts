/** What waits for its turn, and from where. */
export interface Waiting {
  /** One address, or one /64 of IPv6. */
  readonly network: string;
  /** Of the user name, below LINES: whose password it says it is. */
  readonly line: number;
  /** Somebody there has guessed wrong before. */
  readonly suspect: boolean;
}

/** User names share so many lines: who makes up names gets no more turns than there are lines. */
export const LINES = 64;

/** What waits of one network. */
interface Network<T> {
  readonly waiting: T[];
  /** How often it had its turn since it began to wait. */
  served: number;
}

/** What waits for the names of one line. */
interface Line<T> {
  readonly networks: Map<string, Network<T>>;
  size: number;
  /** When its turn comes: the line with the least is next. */
  turn: number;
}

/** Turns by line, and in a line by network. */
class Queue<T extends Waiting> {
  readonly #lines: readonly Line<T>[];
  size = 0;
  #turn = 0;

  constructor(length: number) {
    this.#lines = Array.from({ length }, () => ({ networks: new Map(), size: 0, turn: 0 }));
  }

  push(one: T): void {
    const line = this.#lines[one.line % this.#lines.length] as Line<T>;
    if (line.size === 0) line.turn = Math.max(line.turn, this.#turn); // it has not saved up any
    const network = line.networks.get(one.network);
    if (network === undefined) line.networks.set(one.network, { waiting: [one], served: 0 });
    else network.waiting.push(one);
    line.size++;
    this.size++;
  }

  shift(): T | undefined {
    const waiting = this.#lines.filter(({ size }) => size > 0);
    const line = best(waiting, (each, other) => each.turn < other.turn);
    if (line === null) return undefined;
    this.#turn = line.turn++;
    const next = best(line.networks, ([, each], [, other]) => each.served <= other.served);
    if (next !== null) next[1].served++;
    return this.#taken(line, next, (those) => those.shift());
  }

  /** The last of the network that has most waiting, or of the oldest of these, in the line that has most. */
  pop(): T | undefined {
    const line = best(this.#lines, (each, other) => each.size > other.size);
    if (line === null) return undefined;
    const length = ([, { waiting }]: [string, Network<T>]) => waiting.length;
    const most = best(line.networks, (each, other) => length(each) > length(other));
    return this.#taken(line, most, (those) => those.pop());
  }

  /** All that waits of one network, and waits here no longer. */
  remove(network: string): readonly T[] {
    return this.#lines.flatMap((line) => {
      const gone = line.networks.get(network)?.waiting ?? [];
      line.networks.delete(network);
      line.size -= gone.length;
      this.size -= gone.length;
      return gone;
    });
  }

  #taken(
    line: Line<T>,
    from: [string, Network<T>] | null,
    take: (waiting: T[]) => T | undefined,
  ): T | undefined {
    if (from === null) return undefined;
    const [network, { waiting }] = from;
    const one = take(waiting);
    if (waiting.length === 0) line.networks.delete(network);
    line.size--;
    this.size--;
    return one;
  }
}

/**
 * Who is next to have a password checked. Those from where nobody has guessed wrong come first; of these one of each line of user
 * names in turn; of a line one of each network in turn, whatever each sends; and of networks that had as many turns the one that
 * came last.
 *
 * So who logs in for the first time waits, whatever the flood: behind at most one check of each other line, which is one when a
 * single user is attacked; and for a user who is attacked, behind one check of each address that has not guessed before, and of
 * these only such as come after it. Pure.
 */
export class CheckTurns<T extends Waiting> {
  readonly #max: number;
  readonly #clean: Queue<T>;
  readonly #suspect: Queue<T>;

  /** @param max how many may wait */
  constructor(max: number) {
    const lines = Math.min(LINES, max); // so that one has two waiting when there are too many
    this.#max = max;
    this.#clean = new Queue(lines);
    this.#suspect = new Queue(lines);
  }

  get size(): number {
    return this.#clean.size + this.#suspect.size;
  }

  /** Returns who has to go when there is no room: of those who are suspect first, where most wait. */
  push(one: T): T | null {
    (one.suspect ? this.#suspect : this.#clean).push(one);
    if (this.size <= this.#max) return null;
    return (this.#suspect.size > 0 ? this.#suspect : this.#clean).pop() ?? null;
  }

  /** Somebody there has guessed wrong: what else waits from there goes behind all others. */
  distrust(network: string): void {
    for (const one of this.#clean.remove(network)) this.#suspect.push(one);
  }

  shift(): T | undefined {
    return (this.#clean.size > 0 ? this.#clean : this.#suspect).shift();
  }
}

/** The first one, unless a later one is better than the best so far. */
function best<T>(all: Iterable<T>, isBetter: (each: T, best: T) => boolean): T | null {
  let found: T | null = null;
  for (const each of all) {
    if (found === null || isBetter(each, found)) found = each;
  }
  return found;
}
