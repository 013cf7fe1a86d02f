import type { EntryTime } from "../base/timepiece.ts";
import type { Message } from "../mqtt/message.ts";

/** What the uplink needs of the journal. */
export interface Source {
  /** The permanent identity of a message is this id and its seq. */
  readonly id: string;
  readonly durableSeq: number;
  /** How many entries each lane (the index) has ever taken. */
  readonly laneTotals: readonly number[];
  /** Durable entries of a lane after `afterSeq`, in order. */
  read(afterSeq: number, limits: SourceLimits, lane: number): Promise<SourceEntries>;
  /** Calls `listener` after each commit until the returned function is called. */
  onCommit(listener: () => void): () => void;
  cursor(name: string): SourceCursor;
  /**
   * Takes a message of the uplink's own into a lane. It becomes durable together with the moves of cursors of the same
   * turn of the event loop.
   * @throws FieldgateError ERR_STORE_FULL or ERR_STORE_CLOSED: nothing was taken
   */
  append(message: Message, lane: number, wallMs: number, queues: readonly never[]): number;
  /** A key space of small rows; a write becomes durable together with what else the turn handed over. */
  rows(space: string): SourceRows;
}

export interface SourceRows {
  get(key: string): Promise<Uint8Array | undefined>;
  /** Resolves when it is durable. */
  put(key: string, value: Uint8Array): Promise<void>;
}

export interface SourceLimits {
  readonly messagesMax: number;
  readonly bytesMax: number;
}

export interface SourceEntry {
  readonly seq: number;
  /** Wall time at which it was accepted, milliseconds since the epoch, by the clock as it was then. */
  readonly wallMs: number;
  /** What is known of that time now. */
  readonly time?: EntryTime | null;
  readonly message: Message;
}

export interface SourceEntries {
  readonly entries: readonly SourceEntry[];
  /** The lane has nothing up to here but these entries; may be beyond the last of them. */
  readonly throughSeq: number;
  /** What damage to the store has taken on the way: how many a reader has lost that had dealt with `count` before. */
  readonly gap?: { lostAfter(count: number): number } | null;
}

export interface SourceCursor {
  readonly seq: number;
  readonly count: number;
  /** Whether the reader has entries after `seq` in its hands: the journal drops none of them meanwhile. */
  isReading: boolean;
  /** The journal is full and wants to drop the oldest: nothing more is sent or read until nothing is in hand. */
  readonly isWanted: boolean;
  /** How many of `count` were given up, by reason; another object after each change. */
  readonly dropped: Readonly<Record<string, number>>;
  /** @param dropped how many of `count` were given up, by reason; kept durably with the cursor */
  move(throughSeq: number, count: number, dropped?: Readonly<Record<string, number>>): void;
}
