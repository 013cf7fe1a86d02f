import { numbersRow, readNumbers } from "./small-row.ts";
import type { Store } from "./store.ts";

/**
 * A note beside the store of where the journal ended, so that an end that is gone is missed: within the store nothing tells of it. It may be
 * old; it never says more than what was durable.
 */
export interface EndMark {
  readonly id: string;
  readonly seq: number;
  /** Entries that the journal had taken since it began. */
  readonly entries: number;
  readonly trimmed: Trimmed;
}

/** What was trimmed: the last seq of it, and how many bytes and entries the journal had taken up to there. */
export interface Trimmed {
  readonly seq: number;
  readonly bytes: number;
  readonly entries: number;
}

const KEY = Buffer.from("end");

export async function writeEndMark(
  store: Store,
  { id, seq, entries, trimmed }: EndMark,
  sync: boolean,
): Promise<void> {
  const numbers = [seq, entries, trimmed.seq, trimmed.bytes, trimmed.entries];
  await store.notes.put("end", numbersRow(KEY, numbers, id), sync);
}

/** The mark of that journal; null when there is none that is sound. */
export async function readEndMark(store: Store, id: string): Promise<EndMark | null> {
  const value = await store.notes.get("end");
  const row = value && readNumbers(KEY, value, 5);
  if (!row || row.text !== id) return null;
  const [seq = 0, entries = 0, trimmedSeq = 0, bytes = 0, trimmedEntries = 0] = row.numbers;
  return { id, seq, entries, trimmed: { seq: trimmedSeq, bytes, entries: trimmedEntries } };
}
