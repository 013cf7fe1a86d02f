import { assert } from "../base/errors.ts";
import type { Batch, Contributor } from "./batch.ts";
import type { JournalCounters } from "./counters.ts";
import type { GroupCommit } from "./group-commit.ts";
import type { Cursor } from "./journal.ts";
import { above, KEY, kindKey, namedKey } from "./keys.ts";
import { pages } from "./pages.ts";
import { numbersRow, readNumbers } from "./small-row.ts";
import type { Store } from "./store.ts";

/** The named readers and how far they are. */
export class Cursors implements Contributor {
  readonly #commit: GroupCommit;
  readonly #counters: JournalCounters;
  readonly #cursors = new Map<string, StoredCursor>();
  readonly #dirty = new Set<StoredCursor>();
  readonly #forgotten = new Set<string>();

  constructor(commit: GroupCommit, counters: JournalCounters) {
    this.#commit = commit;
    this.#counters = counters;
  }

  /** A damaged row makes its reader begin at the oldest entry again: to repeat is safe, to skip is not. */
  async load(store: Store): Promise<void> {
    const range = { gte: kindKey(KEY.cursor), lt: above(kindKey(KEY.cursor)) };
    for await (const [key, value] of pages(store, range)) {
      const name = key.toString("utf8", 1);
      const row = readNumbers(key, value, 2);
      if (row === null) this.#counters.damagedRows++;
      const [seq = 0, count = 0] = row?.numbers ?? [];
      const at = { seq, count, dropped: parseDropped(row?.text ?? "") };
      this.#cursors.set(name, new StoredCursor(this.#moved, name, at));
    }
  }

  cursor(name: string): Cursor {
    const known = this.#cursors.get(name);
    if (known) return known;
    const made = new StoredCursor(this.#moved, name, { seq: 0, count: 0, dropped: {} });
    this.#cursors.set(name, made);
    this.#moved(made);
    return made;
  }

  names(): readonly string[] {
    return [...this.#cursors.keys()];
  }

  forget(name: string): void {
    const cursor = this.#cursors.get(name);
    if (!cursor) return;
    this.#cursors.delete(name);
    this.#dirty.delete(cursor);
    this.#forgotten.add(name);
    this.#commit.wantLater();
  }

  /**
   * The seq that every cursor has passed; Infinity without cursors.
   * @param except cursors whose names begin so do not count
   */
  lowestSeq(...except: readonly string[]): number {
    let lowest = Number.POSITIVE_INFINITY;
    for (const [name, { seq }] of this.#cursors) {
      if (!except.some((start) => name.startsWith(start))) lowest = Math.min(lowest, seq);
    }
    return lowest;
  }

  /** The furthest seq that any cursor has passed; 0 without cursors. */
  highestSeq(): number {
    let highest = 0;
    for (const cursor of this.#cursors.values()) highest = Math.max(highest, cursor.seq);
    return highest;
  }

  contribute(batch: Batch): void {
    for (const name of this.#forgotten) batch.del(namedKey(KEY.cursor, name));
    this.#forgotten.clear();
    for (const cursor of this.#dirty) {
      const key = namedKey(KEY.cursor, cursor.name);
      batch.put(key, numbersRow(key, [cursor.seq, cursor.count], droppedText(cursor.dropped)));
    }
    this.#dirty.clear();
  }

  readonly #moved = (cursor: StoredCursor): void => {
    if (this.#cursors.get(cursor.name) !== cursor) return;
    this.#dirty.add(cursor);
    this.#commit.wantLater();
  };
}

class StoredCursor implements Cursor {
  readonly name: string;
  readonly #moved: (cursor: StoredCursor) => void;
  isReading = false;
  isWanted = false;
  #seq: number;
  #count: number;
  #dropped: Readonly<Record<string, number>>;

  constructor(
    moved: (cursor: StoredCursor) => void,
    name: string,
    at: { seq: number; count: number; dropped: Readonly<Record<string, number>> },
  ) {
    this.#moved = moved;
    this.name = name;
    this.#seq = at.seq;
    this.#count = at.count;
    this.#dropped = at.dropped;
  }

  get seq(): number {
    return this.#seq;
  }
  get count(): number {
    return this.#count;
  }
  get dropped(): Readonly<Record<string, number>> {
    return this.#dropped;
  }

  move(throughSeq: number, count: number, dropped: Readonly<Record<string, number>> = {}): void {
    if (throughSeq <= this.#seq && count <= 0) return;
    this.#seq = Math.max(this.#seq, throughSeq);
    this.#count += Math.max(0, count);
    for (const [reason, more] of Object.entries(dropped)) {
      assert(REASON.test(reason), `no reason: ${reason}`);
      this.#dropped = { ...this.#dropped, [reason]: (this.#dropped[reason] ?? 0) + more };
    }
    this.#moved(this);
  }
}

const REASON = /^[a-z0-9-]{1,64}$/;

/** "expired=3 full=120" */
function droppedText(dropped: Readonly<Record<string, number>>): string {
  return Object.entries(dropped)
    .map(([reason, count]) => `${reason}=${count}`)
    .join(" ");
}

function parseDropped(text: string): Record<string, number> {
  const pairs = text === "" ? [] : text.split(" ").map((pair) => pair.split("="));
  return Object.fromEntries(pairs.map(([reason = "", count]) => [reason, Number(count)]));
}
