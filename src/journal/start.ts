import type { Clock } from "../base/clock.ts";
import { errorFields, FieldgateError } from "../base/errors.ts";
import type { Random } from "../base/random.ts";
import type { Position } from "./appender.ts";
import { type Block, entriesThrough, LANES, laneTotalsOf, openBlock, SKIP_UNIT } from "./block.ts";
import type { JournalCounters } from "./counters.ts";
import { type EndMark, readEndMark } from "./end-mark.ts";
import { examine, type Findings, isWhole } from "./examine.ts";
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
const SEQ_SKIP_MAX = 2 ** 32 - 1;
const BLOCKS_BACK_MAX = 1000;
/** After so many starts in a row that came to nothing, the store is read in a process of its own before it is opened. */
const VAIN_STARTS_MAX = 3;
/** Reading a store from end to end may take so long; then it is opened unread. */
const READ_MS_MAX = 8 * 60_000;
/** Repairing a copy, reading it, and comparing what is in it may take so long; then the store is set aside. */
const MEND_MS_MAX = 10 * 60_000;
/** A start may take so long: both of them, and some. */
export const START_MS_MAX = READ_MS_MAX + MEND_MS_MAX + 2 * 60_000;

export interface Opened {
  readonly id: string;
  readonly position: Position;
  /** Where a damaged store was set aside; null when there was none. */
  readonly quarantine: string | null;
  /** Where it ended when that was last noted. */
  readonly end: EndMark | null;
}

/**
 * Opens the store and finds where the journal ends. Reads a few rows, however long the journal is. A store that is damaged
 * beyond opening is repaired if that keeps everything; otherwise it is set aside, and a new journal begins.
 * @param relieve is told why it could not be opened; true when it has made room on a full disk
 * @throws FieldgateError ERR_STORE_FORMAT when it has a format that this program does not know, and what Store.open throws; the
 *   reason of `signal`
 */
export async function openStore(
  store: Store,
  newId: string,
  tools: JournalTools,
  counters: JournalCounters,
  relieve: (error: unknown) => Promise<boolean>,
  signal: AbortSignal,
  format = FORMAT,
): Promise<Opened> {
  const openSound = () => openIn(store, newId, format, tools, counters);
  const { vain, takeBack, startAnew } = await countStart(store, tools.timepiece?.bootId);
  try {
    if (vain >= VAIN_STARTS_MAX) {
      await survive(store, vain, tools, signal);
      await startAnew();
    }
    return { ...(await openSound()), quarantine: null };
  } catch (error) {
    await store.close();
    if (error instanceof FieldgateError && error.code === "ERR_STORE_LOCKED") await takeBack();
    if (await relieve(error)) return { ...(await openSound()), quarantine: null };
    if (!(error instanceof StoreDamage)) throw error;
    const quarantine = await mendOrSetAside(store, error, tools, signal);
    return { ...(await openSound()), quarantine };
  }
}

/**
 * Counts this start as one in vain until it has come to something. Those of another run of the machine do not count: damage
 * that ends the process does so again at once, and a power that fails again and again is no damage.
 */
async function countStart(store: Store, bootId = "") {
  const note = (starts: number) =>
    store.notes.put("starts", Buffer.from(`${starts} ${bootId}`.trim()), false);
  const [starts = "", boot = ""] = `${await store.notes.get("starts")}`.split(" ");
  const vain = boot === bootId ? Number(starts) || 0 : 0;
  await note(vain + 1);
  return { vain, takeBack: () => note(vain), startAnew: () => note(1) };
}

/**
 * Damage may end the process that reads it, so a store that has seen several starts come to nothing is read by another process
 * first: no damage makes a gateway crash again and again.
 */
async function survive(
  store: Store,
  vain: number,
  { clock, log }: JournalTools,
  signal: AbortSignal,
): Promise<void> {
  log.info("the last starts came to nothing: the store is read first", { starts: vain });
  const isReadable = await inTime(READ_MS_MAX, clock, signal, (both) => store.isReadable(both));
  if (isReadable === null) log.warn("the store takes too long to read: it is opened unread");
  if (isReadable !== false) return;
  throw new StoreDamage(`it cannot be read from end to end, and ${vain} starts came to nothing`);
}

/** What the work comes to, or null when it takes too long. @param work throws when its signal aborts, with nothing left running */
async function inTime<T>(
  ms: number,
  clock: Clock,
  signal: AbortSignal,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T | null> {
  const late = new AbortController();
  const stopTimer = clock.every(ms, () => late.abort());
  try {
    return await work(AbortSignal.any([signal, late.signal]));
  } catch (error) {
    signal.throwIfAborted();
    if (late.signal.aborted) return null;
    throw error;
  } finally {
    stopTimer();
  }
}

/** Returns where the store went, or null when it was repaired and nothing is missing. */
async function mendOrSetAside(
  store: Store,
  why: Error,
  { clock, log, random }: JournalTools,
  signal: AbortSignal,
): Promise<string | null> {
  let found: Findings | null = null;
  const isMended = await inTime(MEND_MS_MAX, clock, signal, (both) =>
    store.mend(async (copy) => {
      const noted = async (id: string) => (await endOf(copy, store, id, random)).end;
      found = await examine(copy, noted, both);
      return isWhole(found);
    }, both),
  );
  const findings: Partial<Findings> = found ?? {};
  if (isMended === true) {
    log.warn("the store was damaged and has been repaired: nothing is missing", {
      ...findings,
      ...errorFields(why),
    });
    return null;
  }
  const quarantine = await store.setAside();
  log.error("the store is damaged and was set aside: a new journal begins", {
    quarantine,
    ...findings,
    ...errorFields(why),
  });
  return quarantine;
}

async function openIn(
  store: Store,
  newId: string,
  format: StoreFormat,
  { log, random }: JournalTools,
  counters: JournalCounters,
): Promise<Omit<Opened, "quarantine">> {
  await store.open();
  const id = await journalId(store, format, log);
  if (id === null) return await create(store, newId, format);
  const { last, farSeq, end } = await endOf(store, store, id, random);
  const missed = end !== null && end.seq > last.seq ? end.seq - last.seq : 0;
  if (end !== null && missed > 0) {
    const entries = Math.max(0, end.entries - (last.block ? entriesThrough(last.block) : 0));
    counters.missingEntries += entries;
    log.error("the end of the journal is missing: damage to the store", {
      afterSeq: last.seq,
      entries,
    });
  }
  const skip = SEQ_SKIP + Math.floor(random() * SEQ_SKIP_CHANCE);
  return {
    id,
    end,
    position: {
      lastSeq: Math.max(last.seq, end?.seq ?? 0),
      skip: farSeq
        ? Math.ceil((farSeq - last.seq) / SKIP_UNIT) * SKIP_UNIT
        : Math.max(SEQ_SKIP, Math.min(SEQ_SKIP_MAX - missed, skip)),
      missed,
      laneTotals: last.block ? laneTotalsOf(last.block) : new Array(LANES).fill(0),
      bytes: last.block ? last.block.bytesBefore + last.block.value.length : 0,
    },
  };
}

/**
 * Where the journal of an open store ends; beyond which seq it goes on, null unless it is a copy that nothing was appended to;
 * and what was noted beside it. @param beside the store that has the notes
 */
async function endOf(store: Store, beside: Store, id: string, random: Random) {
  const last = await lastBlock(store);
  const far = await store.farSeq(() => last.seq + FAR + Math.floor(random() * FAR));
  const farSeq = far !== null && last.seq < far ? far : null;
  // What was noted beside a store that a copy has taken the place of says nothing of the copy.
  const end = farSeq === null ? await readEndMark(beside, id) : null;
  return { last, farSeq, end };
}

async function create(
  store: Store,
  id: string,
  format: StoreFormat,
): Promise<Omit<Opened, "quarantine">> {
  await writeMeta(store, id, format);
  const laneTotals = new Array(LANES).fill(0);
  return { id, end: null, position: { lastSeq: 0, skip: 0, missed: 0, laneTotals, bytes: 0 } };
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
    rowsMax: 1, // it is nearly always the first one
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
