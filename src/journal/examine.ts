import { entriesThrough, openBlock } from "./block.ts";
import type { EndMark } from "./end-mark.ts";
import { metaOf } from "./format.ts";
import { blockKeySeq, KEY, kindKey } from "./keys.ts";
import { pages } from "./pages.ts";
import { openRow, readNumbers } from "./small-row.ts";
import type { Store } from "./store.ts";

/** What a store holds, found by reading all of it. */
export interface Findings {
  /** Null when it does not say whose journal it is. */
  readonly id: string | null;
  /** Seqs of the first and the last entry; 0 without entries. */
  readonly firstSeq: number;
  readonly lastSeq: number;
  readonly entries: number;
  /** Entries that were not trimmed and are not there. */
  readonly missingEntries: number;
  readonly damagedBlocks: number;
  readonly damagedRows: number;
  readonly unreadable: number;
  readonly filesLost: number;
}

/**
 * Reads a whole store.
 * @param end where its journal is known to have been, of whichever id
 * @throws the reason of `signal`
 */
export async function examine(
  store: Store,
  end: (id: string) => Promise<EndMark | null>,
  signal: AbortSignal,
): Promise<Findings> {
  const id = metaOf(await store.get(kindKey(KEY.meta)))?.id ?? null;
  const found = { entries: 0, missingEntries: 0, damagedBlocks: 0, damagedRows: 0 };
  const key = kindKey(KEY.trimmed);
  const trimmed = await store.get(key);
  const mark = id === null ? null : await end(id);
  const trimmedSeq = (trimmed && readNumbers(key, trimmed, 1)?.numbers[0]) ?? 0;
  let before = Math.max(trimmedSeq, mark?.trimmed.seq ?? 0);
  let [firstSeq, lastSeq, through] = [0, 0, 0];
  for await (const [key, value] of pages(store, { gte: Buffer.alloc(1), lt: Buffer.from([255]) })) {
    signal.throwIfAborted();
    if (key[0] !== KEY.block) {
      if (openRow(key, value) === null) found.damagedRows++;
      continue;
    }
    const block = openBlock(value, blockKeySeq(key));
    if (block === null) {
      found.damagedBlocks++;
      continue;
    }
    if (block.lastSeq <= before) continue;
    firstSeq ||= block.firstSeq;
    found.missingEntries += Math.max(0, block.firstSeq - 1 - block.skipped - before);
    found.entries += block.lastSeq - block.firstSeq + 1;
    before = lastSeq = block.lastSeq;
    through = entriesThrough(block);
  }
  if (mark !== null) found.missingEntries += Math.max(0, mark.entries - through);
  const { unreadable, filesLost } = store.damage;
  return { id, firstSeq, lastSeq, ...found, unreadable, filesLost };
}

/** Nothing that was kept is gone. */
export function isWhole(findings: Findings): boolean {
  const { id, missingEntries, damagedBlocks, damagedRows, unreadable, filesLost } = findings;
  return id !== null && missingEntries + damagedBlocks + damagedRows + unreadable + filesLost === 0;
}
