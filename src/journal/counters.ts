import type { StoreDamages } from "./store.ts";

/** What the journal counts since it was started. Metrics read it; nothing decides by it. */
export interface JournalCounters {
  commits: number;
  /** Commits that ended in a sync of the disk; none under `durability: fast`. */
  syncs: number;
  /** Entries that became durable, and the bytes of their topics, properties and payloads, with a few for each. */
  entries: number;
  entryBytes: number;
  /** Bytes handed to the store: keys and values. */
  bytesWritten: number;
  /** Blocks whose checksum was wrong when read. */
  damagedBlocks: number;
  /** Entries that are not there although nothing trimmed them: those of damaged blocks, and of blocks that vanished. */
  missingEntries: number;
  /** Small rows (cursors, queues, rows) whose checksum was wrong when read. */
  damagedRows: number;
  /** References of queues whose entry is damaged or missing. */
  missingReferences: number;
  /** Appends and rows refused because the store has `bytesMax`, or because `pendingBytesMax` waited for the disk. */
  refusedFull: number;
  refusedPending: number;
  trimmedEntries: number;
  trimmedBytes: number;
  compactions: number;
  writeErrors: number;
}

/** The counters, what the store could not give out, and how long the last thousand commits took on their way to the disk; null before the first. */
export interface JournalFigures extends JournalCounters, Omit<StoreDamages, "wantsMending"> {
  readonly commitMsMedian: number | null;
  readonly commitMsP99: number | null;
}

export function newCounters(): JournalCounters {
  return {
    commits: 0,
    syncs: 0,
    entries: 0,
    entryBytes: 0,
    bytesWritten: 0,
    damagedBlocks: 0,
    missingEntries: 0,
    damagedRows: 0,
    missingReferences: 0,
    refusedFull: 0,
    refusedPending: 0,
    trimmedEntries: 0,
    trimmedBytes: 0,
    compactions: 0,
    writeErrors: 0,
  };
}
