export interface RowRange {
  readonly gte?: string;
  readonly gt?: string;
  readonly lt?: string;
  readonly lte?: string;
  readonly limit?: number;
  readonly reverse?: boolean;
}

/**
 * A key space of small rows in the journal's store. Reads see what is durable. A write resolves when it is. A range is read page by
 * page: what is written meanwhile behind the reader's place is seen.
 * `put` rejects with ERR_STORE_FULL when the store and its reserve are full; `del` and `clear` do not.
 */
export interface Rows {
  get(key: string): Promise<Uint8Array | undefined>;
  entries(range: RowRange): AsyncIterable<readonly [key: string, value: Uint8Array]>;
  put(key: string, value: Uint8Array): Promise<void>;
  del(key: string): Promise<void>;
  /** Deletes what is in the range now, with what was put before and is not durable yet, in one commit. */
  clear(range: RowRange): Promise<void>;
}
