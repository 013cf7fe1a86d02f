import type { Store, StoreRange, StoreRow } from "./store.ts";

const PAGE_ROWS = 512;
const PAGE_BYTES = 256 * 1024;

/**
 * The rows of a range, page by page: no iterator stays open while the reader does something else. `rowsMax` bounds a page, for
 * those who seldom want more than the first rows.
 */
export async function* pages(
  store: Store,
  range: Pick<StoreRange, "gte" | "lt" | "reverse"> & {
    readonly limit?: number;
    readonly rowsMax?: number;
  },
): AsyncGenerator<StoreRow> {
  let { gte, lt } = range;
  let left = range.limit ?? Number.POSITIVE_INFINITY;
  while (left > 0 && Buffer.compare(gte, lt) < 0) {
    const rows = await store.page({
      gte,
      lt,
      rowsMax: Math.min(range.rowsMax ?? PAGE_ROWS, left),
      bytesMax: PAGE_BYTES,
      reverse: range.reverse ?? false,
    });
    yield* rows;
    left -= rows.length;
    const last = rows.at(-1);
    if (!last) return;
    if (range.reverse) lt = last[0];
    else gte = justAbove(last[0]);
  }
}

/** The next key there can be. */
export function justAbove(key: Buffer): Buffer {
  return Buffer.concat([key, Buffer.alloc(1)]);
}
