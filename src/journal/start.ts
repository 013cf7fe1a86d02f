import { errorFields } from "../base/errors.ts";
import type { Position } from "./appender.ts";
import { type Block, LANES, laneTotalsOf, openBlock, SKIP_UNIT } from "./block.ts";
import { FORMAT, journalId, type StoreFormat, writeMeta } from "./format.ts";
import { above, blockKeySeq, KEY, kindKey } from "./keys.ts";
import type { JournalTools } from "./options.ts";
import { pages } from "./pages.ts";
import { type Store, StoreDamage } from "./store.ts";

/**
 * At each start so many seqs are left out, and by chance up to so many more. What the last life lost, under `durability: fast` or by
 * a disk that lies, may have been sent somewhere: its seqs must not name other messages. By chance, because such a disk forgets
 * this start too, and the next one must not go on where this one did; after clean stops too, because it remembers one that was
 * followed by more. Seven million starts with messages fit into 2^53.
 */
const SEQ_SKIP = 2 ** 27;
const SEQ_SKIP_CHANCE = 2 ** 31;
/**
 * In a copy of a store so many are left out, in units that a block can tell, and by chance up to as many more: it must not meet what the original has given out
 * since, not even after ten thousand starts of that one, nor what another copy gives out.
 */
const FAR = 2 ** 45;
const BLOCKS_BACK_MAX = 1000;

export interface Opened {
  readonly id: string;
  readonly position: Position;
  /** Where a damaged store was set aside; null when there was none. */
  readonly quarantine: string | null;
}

/**
 * Opens the store and finds where the journal ends. Reads a few rows, however long the journal is. A store that is damaged
 * beyond opening is set aside, and a new journal begins.
 * @param relieve is told why it could not be opened; true when it has made room on a full disk
 * @throws FieldgateError ERR_STORE_FORMAT when it has a format that this program does not know, and what Store.open throws
 */
export async function openStore(
  store: Store,
  newId: string,
  tools: JournalTools,
  relieve: (error: unknown) => Promise<boolean>,
  format = FORMAT,
): Promise<Opened> {
  let quarantine: string | null = null;
  const openSound = () => openIn(store, newId, format, tools);
  try {
    return { ...(await openSound()), quarantine };
  } catch (error) {
    await store.close();
    if (await relieve(error)) return { ...(await openSound()), quarantine };
    if (!(error instanceof StoreDamage)) throw error;
    quarantine = await store.setAside();
    tools.log.error("the store is damaged and was set aside: a new journal begins", {
      quarantine,
      ...errorFields(error),
    });
  }
  return { ...(await openSound()), quarantine };
}

async function openIn(
  store: Store,
  newId: string,
  format: StoreFormat,
  { log, random }: JournalTools,
): Promise<Omit<Opened, "quarantine">> {
  await store.open();
  const id = await journalId(store, format, log);
  if (id === null) return await create(store, newId, format);
  const last = await lastBlock(store);
  const farSeq = await store.farSeq(() => last.seq + FAR + Math.floor(random() * FAR));
  const isCopy = farSeq !== null && last.seq < farSeq;
  return {
    id,
    position: {
      lastSeq: last.seq,
      skip: isCopy
        ? Math.ceil((farSeq - last.seq) / SKIP_UNIT) * SKIP_UNIT
        : SEQ_SKIP + Math.floor(random() * SEQ_SKIP_CHANCE),
      laneTotals: last.block ? laneTotalsOf(last.block) : new Array(LANES).fill(0),
      bytes: last.block ? last.block.bytesBefore + last.block.value.length : 0,
    },
  };
}

async function create(
  store: Store,
  id: string,
  format: StoreFormat,
): Promise<Omit<Opened, "quarantine">> {
  await writeMeta(store, id, format);
  const laneTotals = new Array(LANES).fill(0);
  return { id, position: { lastSeq: 0, skip: 0, laneTotals, bytes: 0 } };
}

/** The newest block that is sound, and the seq that no block goes beyond. */
async function lastBlock(
  store: Store,
): Promise<{ readonly block: Block | null; readonly seq: number }> {
  const blocks = { gte: kindKey(KEY.block), lt: above(kindKey(KEY.block)) };
  let seq = 0;
  for await (const [key, value] of pages(store, {
    ...blocks,
    reverse: true,
    limit: BLOCKS_BACK_MAX,
  })) {
    const firstSeq = blockKeySeq(key);
    const block = openBlock(value, firstSeq);
    if (block) return { block, seq: Math.max(seq, block.lastSeq) };
    seq = Math.max(seq, firstSeq);
  }
  return { block: null, seq };
}

/**
 * The position, when a reader or a queue knows of `seenSeq`: then later blocks were lost, and what they were called is not used
 * for anything else.
 */
export function beyond(position: Position, seenSeq: number): Position {
  return { ...position, lastSeq: Math.max(position.lastSeq, seenSeq) };
}
