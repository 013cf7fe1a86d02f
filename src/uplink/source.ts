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
}

export interface SourceLimits {
  readonly messagesMax: number;
  readonly bytesMax: number;
}

export interface SourceEntry {
  readonly seq: number;
  /** Wall time at which it was accepted, milliseconds since the epoch. */
  readonly wallMs: number;
  readonly message: Message;
}

export interface SourceEntries {
  readonly entries: readonly SourceEntry[];
  /** The lane has nothing up to here but these entries; may be beyond the last of them. */
  readonly throughSeq: number;
}

export interface SourceCursor {
  readonly seq: number;
  readonly count: number;
  /** @param dropped how many of `count` were given up, by reason; kept durably with the cursor */
  move(throughSeq: number, count: number, dropped?: Readonly<Record<string, number>>): void;
}
