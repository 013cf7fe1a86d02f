/** What the journal stands on: ordered keys, atomic batches, an order that a crash keeps. LevelDB, or memory. */
export interface Store {
  /**
   * Opens, creating what is not there. May be called again after `close`.
   * @throws StoreDamage when it is there and cannot be opened because it is damaged
   * @throws FieldgateError ERR_STORE_LOCKED, ERR_STORE_OPEN
   */
  open(): Promise<void>;
  close(): Promise<void>;
  /** Sets a closed store aside, so that `open` creates a new one; tells where it went. */
  setAside(): Promise<string>;
  /**
   * Of an open store that is a copy of another: the seq beyond which it goes on; null of any other.
   * @param choose draws it, the first time
   */
  farSeq(choose: () => number): Promise<number | null>;
  /**
   * True when a closed store can be read from end to end, in a process of its own: what is damaged may end the one that reads it.
   * @throws FieldgateError ERR_STORE_LOCKED; the reason of `signal`, with nothing left running
   */
  isReadable(signal: AbortSignal): Promise<boolean>;
  /**
   * Repairs a copy of a closed store. If `accept` says so of the copy, which is open, it takes the place of the store, durably.
   * @throws FieldgateError ERR_STORE_OPEN when it is the disk that does not let it; the reason of `signal`, with the store as it was
   */
  mend(accept: (copy: Store) => Promise<boolean>, signal: AbortSignal): Promise<boolean>;
  /** What of an open store could not be read, and was passed over. */
  readonly damage: StoreDamages;
  /** Small files beside the store, which damage to the store does not reach. */
  readonly notes: StoreNotes;

  get(key: Buffer): Promise<Buffer | undefined>;
  /** The first rows of a range, or with `reverse` the last ones, the last one first. At least one, if there is one. */
  page(range: StoreRange): Promise<StoreRow[]>;
  /** All or nothing. With `sync`, resolves when it would survive a power cut, with everything written before. */
  write(changes: readonly Change[], sync: boolean): Promise<void>;
  /** Deletes a range piece by piece, not synced, off the main thread. */
  clear(gte: Buffer, lt: Buffer): Promise<void>;
  /** Gives the space of what was deleted in the range back to the file system. */
  compact(gte: Buffer, lt: Buffer): Promise<void>;
  /** Bytes of all its files, unless they are known, and what its disk has left for it. */
  measure(knownBytes?: number): Promise<StoreSize>;
  /** Room that is kept for when the disk is full. */
  readonly reserve: StoreReserve;
}

export interface StoreSize {
  readonly bytes: number;
  /** Infinity where nobody knows. */
  readonly freeBytes: number;
}

export interface StoreDamages {
  /** Reads that met something unreadable. */
  unreadable: number;
  /** Files that a repair has given up, in whole or in part. */
  filesLost: number;
  /** Bytes of the newest writes that were no more what was written when the store was opened. */
  logBytesDropped: number;
  /** It cannot be written any more before it is mended. */
  wantsMending: boolean;
}

export interface StoreNotes {
  get(name: NoteName): Promise<Buffer | null>;
  /** Never throws: a note that cannot be written is an old one, or none. */
  put(name: NoteName, bytes: Buffer, sync: boolean): Promise<void>;
  drop(name: NoteName): Promise<void>;
}

/** end: where the journal ended. starts: how many starts were not followed by a minute of work or a stop. */
export type NoteName = "end" | "starts";

export interface StoreReserve {
  readonly at: "absent" | "making" | "ready";
  readonly bytes: number;
  /** Resolves with whether it is there now. */
  make(signal: AbortSignal): Promise<boolean>;
  /** Resolves with whether there was room to give up. */
  release(): Promise<boolean>;
}

export type StoreRow = [key: Buffer, value: Buffer];

export interface StoreRange {
  readonly gte: Buffer;
  readonly lt: Buffer;
  readonly rowsMax: number;
  /** No further row is taken beyond so many bytes. */
  readonly bytesMax: number;
  readonly reverse?: boolean;
}

export interface Change {
  readonly key: Buffer;
  /** null deletes the key. */
  readonly value: Buffer | null;
}

export function noDamage(): StoreDamages {
  return { unreadable: 0, filesLost: 0, logBytesDropped: 0, wantsMending: false };
}

/** The store is there, and what is in it cannot be right. */
export class StoreDamage extends Error {
  override readonly name = "StoreDamage";
}
