import { notUnderstood } from "./frames.ts";
import type { CopiedJournal } from "./ports.ts";

/** How far a journal is dealt with, as the sender knows it. */
export interface Positions {
  readonly journal: string;
  /** Whose it is. */
  readonly gateway: string;
  /** Up to here the one who tells has it, on its disk. */
  readonly haveSeq: number;
  /** Its origin needs nothing up to here; null from anyone but the origin. */
  readonly neededSeq: number | null;
  /** Cursors of the uplink, by name. */
  readonly cursors: Readonly<Record<string, Place>>;
}

interface Place {
  readonly seq: number;
  readonly count: number;
  readonly dropped: Readonly<Record<string, number>>;
}

/** The lanes of a journal, by the names of their cursors. */
export type LanesByCursor = Readonly<Record<string, number>>;

/** Cursors of a journal that are the same on all its copies. */
const SHARED = /^uplink\/[a-z0-9-]{1,32}$/;
const REASON = /^[a-z0-9-]{1,64}$/;
const JOURNAL = /^[0-9a-f]{32}$/;
const MANY = 64;
/** The cursor of a copy that stands where its origin needs nothing any more. */
export const ORIGIN_CURSOR = "origin";
/** Cursors of an origin, one for each peer. */
export const PEER_CURSORS = "peer/";
/** Cursors of an origin: up to there a peer has brought its messages to the sessions that are there. */
export const FED_CURSORS = "fed/";

export function positionsOf(journal: CopiedJournal, gateway: string, isOwn: boolean): Positions {
  const shared = journal.cursorNames().filter((name) => SHARED.test(name));
  const places = shared.toSorted().map((name) => {
    const { seq, count, dropped } = journal.cursor(name);
    return [name, { seq, count, dropped }] as const;
  });
  const neededSeq = isOwn ? journal.copies.neededSeq(PEER_CURSORS) : null;
  const { id, durableSeq: haveSeq } = journal;
  return { journal: id, gateway, haveSeq, neededSeq, cursors: Object.fromEntries(places) };
}

/** @throws FieldgateError ERR_PEER_PROTOCOL */
export function readPositions(fields: Readonly<Record<string, unknown>>): Positions {
  const { journal, gateway, haveSeq, neededSeq, cursors } = fields;
  const places = Object.entries(isObject(cursors) ? cursors : {});
  const isSound =
    typeof journal === "string" &&
    JOURNAL.test(journal) &&
    typeof gateway === "string" &&
    gateway !== "" &&
    gateway.length <= 256 &&
    isCount(haveSeq) &&
    (neededSeq === null || isCount(neededSeq)) &&
    isObject(cursors) &&
    places.length <= MANY &&
    places.every(([name, place]) => SHARED.test(name) && isPlace(place));
  if (!isSound) throw notUnderstood("positions that are none");
  return { journal, gateway, haveSeq, neededSeq, cursors: cursors as Positions["cursors"] };
}

/**
 * Moves the cursors of a journal to where they are said to be, never back, and in a copy never beyond what it has: then the rest
 * follows when the same is applied again, and it has more. What is told while it is the one who moves them is left alone.
 * @param lanes whose cursor a name is
 */
export function applyPositions(
  journal: CopiedJournal,
  told: Positions,
  moves: boolean,
  lanes: LanesByCursor,
): void {
  const { durableSeq, laneTotals } = journal;
  if (told.neededSeq !== null) {
    journal.cursor(ORIGIN_CURSOR).move(Math.min(told.neededSeq, durableSeq), 0);
  }
  if (moves) return;
  for (const [name, place] of Object.entries(told.cursors)) {
    const cursor = journal.cursor(name);
    const { seq, count, dropped } =
      place.seq > durableSeq ? atEnd(journal, lanes[name], cursor) : place;
    if (seq <= cursor.seq || count < cursor.count) continue;
    if (count > laneTotals.reduce((sum, total) => sum + total, 0)) continue;
    cursor.move(seq, count - cursor.count, more(dropped, cursor.dropped));
  }
}

/**
 * Past all that a copy has: a full one must be able to let go of it, to get what is beyond. How much of it was dropped is known
 * when it has that too.
 */
function atEnd(journal: CopiedJournal, lane: number | undefined, cursor: Place): Place {
  const { lastSeq, durableSeq, laneTotals } = journal;
  // Totals are of all that was taken: they say what is durable when nothing else was.
  if (lane === undefined || lastSeq !== durableSeq) return cursor;
  return { seq: durableSeq, count: laneTotals[lane] ?? 0, dropped: cursor.dropped };
}

function more(
  now: Readonly<Record<string, number>>,
  before: Readonly<Record<string, number>>,
): Record<string, number> {
  const grown = Object.entries(now).map(([reason, count]) => [
    reason,
    count - (before[reason] ?? 0),
  ]);
  return Object.fromEntries(grown.filter(([, count]) => (count as number) > 0));
}

function isPlace(value: unknown): value is Place {
  if (!isObject(value)) return false;
  const { seq, count, dropped } = value;
  if (!isCount(seq) || !isCount(count) || !isObject(dropped)) return false;
  const reasons = Object.entries(dropped);
  return reasons.length <= MANY && reasons.every(([name, n]) => REASON.test(name) && isCount(n));
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}
