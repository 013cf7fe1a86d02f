import type { Log } from "../base/log.ts";
import type { ReplicationCounters } from "./counters.ts";
import type { CopiedJournal } from "./ports.ts";
import { PEER_CURSORS } from "./positions.ts";

/**
 * Keeps what is held back for peers that are away within `backlogBytesMax`: a peer that lacks more loses its cursor, and gets a gap
 * when it returns, of entries that nobody else needs.
 */
export async function boundBacklogs(
  journal: CopiedJournal,
  backlogBytesMax: number,
  counters: ReplicationCounters,
  log: Log,
): Promise<void> {
  const neededSeq = journal.copies.neededSeq(PEER_CURSORS);
  for (const name of journal.cursorNames().filter((one) => one.startsWith(PEER_CURSORS))) {
    const { seq } = journal.cursor(name);
    // What others need is not held back by it.
    if (seq >= neededSeq) continue;
    const bytes = await journal.copies.bytesAfter(seq);
    if (bytes <= backlogBytesMax) continue;
    journal.forgetCursor(name);
    counters.cursorsForgotten++;
    const fields = { peer: name.slice(PEER_CURSORS.length), bytes, backlogBytesMax };
    log.error("a peer lacks too much: what nobody else needs is not kept for it", fields);
  }
}
