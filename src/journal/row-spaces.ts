import { FieldgateError } from "../base/errors.ts";
import type { RowRange, Rows } from "../base/rows.ts";
import type { Batch, Contributor } from "./batch.ts";
import type { JournalCounters } from "./counters.ts";
import type { GroupCommit } from "./group-commit.ts";
import { above, spacePrefix } from "./keys.ts";
import { justAbove, pages } from "./pages.ts";
import { openRow, sealRow } from "./small-row.ts";
import type { Store } from "./store.ts";

/** The key spaces of small rows. What is put, deleted or cleared joins the commit that is gathering. */
export class RowSpaces implements Contributor {
  readonly store: Store;
  readonly #commit: GroupCommit;
  readonly #counters: JournalCounters;
  /** True when not even the reserve has room. */
  readonly #isExhausted: () => boolean;
  #changes = new Map<string, { key: Buffer; value: Buffer | null }>();
  readonly #spaces = new Map<string, Rows>();

  constructor(
    parts: { store: Store; commit: GroupCommit; isExhausted: () => boolean },
    counters: JournalCounters,
  ) {
    this.store = parts.store;
    this.#commit = parts.commit;
    this.#isExhausted = parts.isExhausted;
    this.#counters = counters;
  }

  space(name: string): Rows {
    const known = this.#spaces.get(name);
    if (known) return known;
    const made = new StoredRows(this, name);
    this.#spaces.set(name, made);
    return made;
  }

  put(key: Buffer, body: Uint8Array): Promise<void> {
    if (this.#isExhausted()) {
      this.#counters.refusedFull++;
      return Promise.reject(
        new FieldgateError("ERR_STORE_FULL", "the store and its reserve are full: free space"),
      );
    }
    return this.change(key, sealRow(key, body));
  }

  change(key: Buffer, value: Buffer | null): Promise<void> {
    if (this.#commit.running) {
      this.#changes.set(key.toString("latin1"), { key, value });
      this.#commit.want();
    }
    return this.#commit.flush();
  }

  /** Deletes all of these at once, in one commit. */
  deleteAll(keys: readonly Buffer[]): Promise<void> {
    for (const key of keys) void this.change(key, null).catch(() => {});
    return this.#commit.flush();
  }

  flush(): Promise<void> {
    return this.#commit.flush();
  }

  open(key: Buffer, value: Buffer): Buffer | undefined {
    const body = openRow(key, value);
    if (body === null) this.#counters.damagedRows++;
    return body ?? undefined;
  }

  contribute(batch: Batch): void {
    if (this.#changes.size === 0) return;
    for (const { key, value } of this.#changes.values()) {
      if (value === null) batch.del(key);
      else batch.put(key, value);
    }
    this.#changes = new Map();
  }
}

class StoredRows implements Rows {
  readonly #spaces: RowSpaces;
  readonly #prefix: Buffer;

  constructor(spaces: RowSpaces, name: string) {
    this.#spaces = spaces;
    this.#prefix = spacePrefix(name);
  }

  async get(key: string): Promise<Uint8Array | undefined> {
    const full = this.#key(key);
    const value = await this.#spaces.store.get(full);
    return value === undefined ? undefined : this.#spaces.open(full, value);
  }

  async *entries(range: RowRange): AsyncGenerator<readonly [key: string, value: Uint8Array]> {
    for await (const [key, value] of pages(this.#spaces.store, this.#bounds(range))) {
      const body = this.#spaces.open(key, value);
      if (body) yield [key.toString("utf8", this.#prefix.length), body];
    }
  }

  put(key: string, value: Uint8Array): Promise<void> {
    return this.#spaces.put(this.#key(key), value);
  }

  del(key: string): Promise<void> {
    return this.#spaces.change(this.#key(key), null);
  }

  async clear(range: RowRange): Promise<void> {
    await this.#spaces.flush();
    const keys: Buffer[] = [];
    for await (const [key] of pages(this.#spaces.store, this.#bounds(range))) keys.push(key);
    await this.#spaces.deleteAll(keys);
  }

  #key(key: string): Buffer {
    return Buffer.concat([this.#prefix, Buffer.from(key, "utf8")]);
  }

  #bounds(range: RowRange) {
    const from = [
      this.#prefix,
      ...(range.gte === undefined ? [] : [this.#key(range.gte)]),
      ...(range.gt === undefined ? [] : [justAbove(this.#key(range.gt))]),
    ];
    const to = [
      above(this.#prefix),
      ...(range.lt === undefined ? [] : [this.#key(range.lt)]),
      ...(range.lte === undefined ? [] : [justAbove(this.#key(range.lte))]),
    ];
    return {
      gte: from.reduce((a, b) => (Buffer.compare(a, b) >= 0 ? a : b)),
      lt: to.reduce((a, b) => (Buffer.compare(a, b) <= 0 ? a : b)),
      reverse: range.reverse ?? false,
      ...(range.limit === undefined || range.limit < 0 ? {} : { limit: range.limit }),
    };
  }
}
