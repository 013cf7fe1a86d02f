import { added, totalOf } from "../base/counts.ts";

/** What the audit needs of the journal. */
export interface AuditedJournal {
  readonly lastSeq: number;
  /** How many entries each lane (the index) has ever taken. */
  readonly laneTotals: readonly number[];
  cursorNames(): readonly string[];
  cursor(name: string): AuditedCursor;
  /** Resolves when everything handed over up to now is durable. */
  committed(): Promise<void>;
  /** Entries of a lane after `afterSeq`, in order; none is left before `throughSeq`. */
  read(
    afterSeq: number,
    limits: { readonly messagesMax: number; readonly bytesMax: number },
    lane: number,
  ): Promise<{
    readonly entries: readonly { readonly seq: number }[];
    readonly throughSeq: number;
    readonly gap?: { lostAfter(count: number): number } | null;
  }>;
}

interface AuditedCursor {
  readonly seq: number;
  readonly count: number;
  readonly dropped: Readonly<Record<string, number>>;
}

export interface AuditedLane {
  readonly lane: number;
  readonly cursor: string;
}

/** accepted = delivered + dropped + queued. */
export interface LaneAudit {
  readonly accepted: number;
  readonly delivered: number;
  readonly dropped: Readonly<Record<string, number>>;
  /** Counted in the journal, message by message: not what is left over of the sum. */
  readonly queued: number;
  /** Accepted and in none of the three; less than 0 when there is more than was accepted. */
  readonly missing: number;
}

/** frames = accepted + refused + in flight. */
export interface DeviceAudit {
  readonly frames: number;
  readonly accepted: number;
  readonly refused: Readonly<Record<string, number>>;
  readonly inflight: number;
  readonly missing: number;
}

export interface DeviceBooks {
  readonly frames: number;
  readonly accepted: number;
  readonly refused: Readonly<Record<string, number>>;
  readonly inflight: number;
}

const PAGE = { messagesMax: 4096, bytesMax: 2 ** 20 };
/** A trim during the count takes away what the cursor has passed meanwhile: then it is counted again. */
const ATTEMPTS = 3;

/**
 * Proves a lane's books: counts what waits behind its cursor in the journal and compares the sum with what was accepted.
 * Reads the whole backlog, page by page; the gateway goes on meanwhile.
 * @throws FieldgateError ERR_STORE_CLOSED when the journal closes meanwhile
 */
export async function auditLane(journal: AuditedJournal, of: AuditedLane): Promise<LaneAudit> {
  let audit = await count(journal, of);
  for (let attempt = 1; attempt < ATTEMPTS && audit.missing !== 0; attempt++) {
    audit = await count(journal, of);
  }
  return audit;
}

export function auditDevice({ frames, accepted, refused, inflight }: DeviceBooks): DeviceAudit {
  const missing = frames - accepted - totalOf(refused) - inflight;
  return { frames, accepted, refused, inflight, missing };
}

async function count(journal: AuditedJournal, of: AuditedLane): Promise<LaneAudit> {
  const accepted = journal.laneTotals[of.lane] ?? 0;
  const { lastSeq } = journal;
  if (!journal.cursorNames().includes(of.cursor)) {
    // An uplink that was there has let go of the lane: nothing is kept for it.
    const dropped: Record<string, number> = accepted === 0 ? {} : { unread: accepted };
    return { accepted, delivered: 0, dropped, queued: 0, missing: 0 };
  }
  const { seq, count: passed, dropped } = journal.cursor(of.cursor);
  await journal.committed();
  const { queued, damaged } = await countAfter(journal, of.lane, { seq, passed }, lastSeq);
  const delivered = passed - totalOf(dropped);
  const missing = accepted - passed - queued - damaged;
  const known = damaged === 0 ? dropped : added(dropped, { damaged });
  return { accepted, delivered, dropped: known, queued, missing };
}

async function countAfter(
  journal: AuditedJournal,
  lane: number,
  after: { readonly seq: number; readonly passed: number },
  lastSeq: number,
): Promise<{ readonly queued: number; readonly damaged: number }> {
  let [queued, damaged] = [0, 0];
  let { seq } = after;
  while (seq < lastSeq) {
    const { entries, throughSeq, gap } = await journal.read(seq, PAGE, lane);
    damaged += gap?.lostAfter(after.passed + queued + damaged) ?? 0;
    for (const entry of entries) if (entry.seq <= lastSeq) queued++;
    const next = Math.max(throughSeq, entries.at(-1)?.seq ?? 0);
    if (next <= seq) break;
    seq = next;
  }
  return { queued, damaged };
}
