import type { Log } from "../base/log.ts";
import type { ReplicationCounters } from "./counters.ts";
import type { CopiedJournal } from "./ports.ts";
import { FED_CURSORS, PEER_CURSORS } from "./positions.ts";

/** Cursors by which something is held back for a peer alone. */
const HOLDING = [PEER_CURSORS, FED_CURSORS];

/**
 * Keeps what is held back for peers that are away within `backlogBytesMax`: a peer that lacks more loses its cursor, and gets a gap
 * when it returns, of entries that nobody else needs. So do sessions that were its, and are taken over later than that.
 */
export async function boundBacklogs(
  journal: CopiedJournal,
  backlogBytesMax: number,
  counters: ReplicationCounters,
  log: Log,
): Promise<void> {
  const neededSeq = journal.copies.neededSeq(...HOLDING);
  for (const name of journal
    .cursorNames()
    .filter((one) => HOLDING.some((start) => one.startsWith(start)))) {
    const { seq } = journal.cursor(name);
    // What others need is not held back by it.
    if (seq >= neededSeq) continue;
    const bytes = await journal.copies.bytesAfter(seq);
    if (bytes <= backlogBytesMax) continue;
    journal.forgetCursor(name);
    counters.cursorsForgotten++;
    const fields = { peer: name.slice(name.indexOf("/") + 1), bytes, backlogBytesMax };
    log.error("a peer lacks too much: what nobody else needs is not kept for it", fields);
  }
}
