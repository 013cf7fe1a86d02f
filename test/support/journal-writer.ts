import { silentLog } from "../../src/base/log.ts";
import { systemClock } from "../../src/base/system-clock.ts";
import { levelJournal } from "../../src/journal/level-journal.ts";

/**
 * Appends to the store in argv[2] until it is killed. Prints a line for each commit: the last seq and text that are durable, the head
 * of its queue and the place of its cursor when the commit began.
 */
const journal = levelJournal(
  { path: process.argv[2] ?? "", bytesMax: 2 ** 30, durability: "local", trimBytesMin: 0 },
  { clock: systemClock, log: silentLog, random: Math.random },
);
await journal.start(new AbortController().signal);
const queue = journal.queue("q");
const cursor = journal.cursor("c");
let serial = Number(process.argv[3] ?? 0);
for (;;) {
  const batch = 1 + (serial % 7);
  for (let i = 0; i < batch; i++) {
    const payload = Buffer.from(`${++serial}`);
    const message = { topic: "t", payload, qos: 1 as const, retain: false, properties: null };
    journal.append(message, 1, Date.now(), [queue]);
  }
  const put = journal.rows("space").put("serial", Buffer.from(`${serial}`));
  const position = { head: queue.headIndex, cursor: cursor.seq };
  await Promise.all([journal.committed(), put]);
  const line = { seq: journal.durableSeq, serial, tail: queue.tailIndex, ...position };
  process.stdout.write(`${JSON.stringify(line)}\n`);
  queue.acknowledge(queue.tailIndex - 5);
  cursor.move(journal.durableSeq - 5, batch);
  if (serial % 50 < 7) await journal.tidy();
}
