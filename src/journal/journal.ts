import type { Rows } from "../base/rows.ts";
import type { EntryTime } from "../base/timepiece.ts";
import type { Watchable } from "../base/watchable.ts";
import type { Message } from "../mqtt/message.ts";

/**
 * Port: everything of a gateway that must survive, in one append-only journal with one group commit.
 * Implementations pass test/contract/journal.ts.
 *
 * Appending is synchronous and cheap: it assigns a `seq` and joins the commit that is gathering. One commit is
 * on its way to the disk at a time; while it is, the next one gathers. What one loop turn hands over (entries, rows,
 * queue positions, cursors) is never split over two commits. After a commit, listeners are called in order.
 */
export interface Journal {
  /** 32 hexadecimal digits, made once when the store was created. With `seq` the permanent identity of a message. */
  readonly id: string;
  /**
   * The last seq that was given out, durable or not; 0 at first. Seqs rise and are never used twice; they are not without gaps:
   * at each start many are left out, because what a crash took away may have been sent somewhere.
   */
  readonly lastSeq: number;
  /** Everything up to here would survive a power cut (under `durability: fast`: was written). */
  readonly durableSeq: number;
  /** Bytes taken in that are not durable yet. Whoever feeds the journal stops reading its sources beyond its bound. */
  readonly pendingBytes: number;
  readonly state: Watchable<JournalState>;

  /**
   * Takes a message and returns its seq. `lane` is 0 (no uplink) or 1 to 15; `queues` are those who wait for it.
   * The bytes of the message are copied before this returns.
   * @throws FieldgateError ERR_STORE_FULL when `bytesMax` is reached or too much waits for the disk: nothing was taken.
   *   ERR_STORE_CLOSED before the start and after the stop.
   */
  append(message: Message, lane: number, wallMs: number, queues: readonly Queue[]): number;

  /**
   * Resolves when everything handed over up to now is durable: entries, rows, positions.
   * @throws FieldgateError ERR_STORE_CLOSED or ERR_STORE_WRITE when the journal ended before that
   */
  committed(): Promise<void>;
  /** Calls `listener` after each commit, in the order of registration, until the returned function is called. */
  onCommit(listener: (durableSeq: number) => void): () => void;
  /** Calls `listener` before each commit is made, until the returned function is called: what it appends or puts belongs to that commit. */
  beforeCommit(listener: () => void): () => void;

  /**
   * Durable entries after `afterSeq`, in order: those of one lane, or, without a lane, all. There may be more as long as
   * `throughSeq` is below `durableSeq`, also when no entry was returned. The payload of an entry is a view of a block: who keeps
   * it for long keeps up to 256 KiB with it. Damaged entries are left out, and counted.
   * @throws FieldgateError ERR_STORE_CLOSED while the store is closed, or reopened after a failed write: read again later
   */
  read(afterSeq: number, limits: ReadLimits, lane?: number): Promise<Entries>;
  /** How many entries each lane (the index) has ever taken in this journal. */
  readonly laneTotals: readonly number[];

  /**
   * A named reader's durable position, made at 0 when it is not there: it will read whatever is still kept. What all cursors
   * and queues have passed is trimmed; without cursors, whatever no queue waits for.
   */
  cursor(name: string): Cursor;
  /** Names of the cursors in the store, opened or not. */
  cursorNames(): readonly string[];
  forgetCursor(name: string): void;

  /**
   * The durable queue of that name (a session's), made when it is not there.
   * @param afterIndex where one that is made begins: the first reference is the one behind it
   */
  queue(name: string, afterIndex?: number): Queue;
  queueNames(): readonly string[];

  /** A key space of small rows that commit together with everything else. */
  rows(space: string): Rows;

  /** For copies of this journal on other gateways, and for a journal that is one. */
  readonly copies: BlockCopies;

  /** Bytes of the store on disk, as last measured (every few seconds). */
  readonly storeBytes: number;
  readonly room: JournalRoom;
}

/**
 * A journal's blocks as they are, for copying it. A copy has the same id, seqs and blocks as its origin; nothing else is
 * appended to it. Its cursors are its own.
 */
export interface BlockCopies {
  /** Everything up to here was trimmed, and is not there to be copied. */
  readonly trimmedSeq: number;
  /** Durable blocks after `afterSeq`, which is 0 or the end of a block: as many as `bytesMax` allows, the first one always. */
  read(afterSeq: number, bytesMax: number): Promise<StoredBlocks>;
  /**
   * Up to here nothing is needed: all cursors and queues have passed it.
   * @param except cursors whose names begin so do not count
   */
  neededSeq(...except: readonly string[]): number;
  /** Bytes of the blocks after `seq`. */
  bytesAfter(seq: number): Promise<number>;
  /**
   * Takes a block of the origin into this copy; durable with the next commit. One that is there already is left alone.
   * @throws FieldgateError ERR_STORE_FORMAT when it is damaged or no block; ERR_STORE_FULL, ERR_STORE_CLOSED
   */
  take(value: Buffer): Taken;
}

export interface StoredBlocks {
  /** `seq` is that of its last entry. */
  readonly entries: readonly { readonly seq: number; readonly value: Buffer }[];
  readonly throughSeq: number;
}

export interface Taken {
  /** False when it was there already. */
  readonly isNews: boolean;
  /** Seqs between it and the block before that the copy will never have. */
  readonly missed: number;
}

/**
 * free; tight: nearly full; full: `bytesMax` is reached; disk-full: the disk is. While it is full, messages are refused,
 * positions and rows are taken, and it ends by itself when there is room again.
 */
export type JournalRoom = "free" | "tight" | "full" | "disk-full";

export type JournalState =
  | { readonly at: "closed" }
  | { readonly at: "open" }
  /** A write failed. What is gathered stays, is not acknowledged, and is tried again after `retryAtMs` (monotonic). */
  | { readonly at: "failed"; readonly error: Error; readonly retryAtMs: number };

export interface Entry {
  readonly seq: number;
  readonly lane: number;
  /** Wall time at which it was accepted, milliseconds since the epoch, by the clock as it was then. */
  readonly wallMs: number;
  /** What is known of that time now; null when it was accepted where nobody kept the time. */
  readonly time: EntryTime | null;
  readonly message: Message;
}

export interface ReadLimits {
  readonly messagesMax: number;
  readonly bytesMax: number;
}

export interface Entries {
  readonly entries: readonly Entry[];
  /** The reader has seen all that concerns it up to here, which may be beyond the last entry returned. */
  readonly throughSeq: number;
  /** Of a lane: what damage has taken on the way; null when nothing is missing. */
  readonly gap: LaneGap | null;
}

export interface LaneGap {
  /** How many entries of its lane a reader has lost that had dealt with so many up to `afterSeq`, those lost before included. */
  lostAfter(count: number): number;
}

/** Moves only forward. A move is durable with the next commit, within `cursorDelayMs` at the latest: after a crash it may stand earlier. */
export interface Cursor {
  readonly name: string;
  readonly seq: number;
  /** How many entries its reader has dealt with, since the cursor was made: those dropped included. */
  readonly count: number;
  /** Set by the reader: it has entries after `seq` in its hands, and the journal gives none of them up meanwhile. */
  isReading: boolean;
  /** Set by the journal, which is full: the reader lets go of what is not in flight, and sets `isReading` to false. */
  isWanted: boolean;
  /** Of these, how many did not reach whom the cursor stands for, by reason. As durable as `count`. */
  readonly dropped: Readonly<Record<string, number>>;
  /**
   * @param count how many entries more were dealt with
   * @param dropped how many of `count` were given up, by reason: few reasons, of letters, digits and dashes
   */
  move(throughSeq: number, count: number, dropped?: Readonly<Record<string, number>>): void;
}

/**
 * References to entries, in order, numbered 1, 2, 3 … by `index`. The index outlives restarts and is never used twice:
 * a session derives its packet identifiers from it. Payloads are stored once, in the entry.
 */
export interface Queue {
  readonly name: string;
  /** Everything up to here was acknowledged. */
  readonly headIndex: number;
  /** The index of the newest reference; equal to headIndex when the queue is empty. */
  readonly tailIndex: number;
  /** Payload and topic bytes that wait. Exact but for the part of a commit that was acknowledged: there it is a share. */
  readonly bytes: number;
  /**
   * Durable references after `afterIndex`: at least one if there is one. What is lost by damage is left out, and acknowledged by
   * itself once it is at the head, so that nobody waits for it.
   */
  read(afterIndex: number, limits: ReadLimits): Promise<readonly Queued[]>;
  /** Acknowledges everything up to `throughIndex`. Durable like a cursor's move. */
  acknowledge(throughIndex: number): void;
  /** Gives up the queue with all it holds; durable with the next commit. Appending to it afterwards refers to nobody. */
  drop(): void;
}

export interface Queued {
  readonly index: number;
  readonly entry: Entry;
}
