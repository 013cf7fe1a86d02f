/**
 * Works on a store as a gateway does and says what it may rely on: a line of JSON for each entry that is durable, "stopped" at the
 * end. Argument: PATH. Exit code 2: it ended because of the disk, and said why.
 */
import { FieldgateError } from "../../src/base/errors.ts";
import { silentLog } from "../../src/base/log.ts";
import { systemClock } from "../../src/base/system-clock.ts";
import { levelJournal } from "../../src/journal/level-journal.ts";
import { seededRandom } from "./random.ts";
import { STORE_OPTIONS } from "./store-options.ts";

const ROUNDS = 24;
const NEVER = new AbortController().signal;
const [path = ""] = process.argv.slice(2);
const random = seededRandom(1);
const options = {
  ...STORE_OPTIONS,
  durability: "local",
  retry: { firstMs: 2, maxMs: 10 },
} as const;
const journal = levelJournal({ path, ...options }, { clock: systemClock, log: silentLog, random });
try {
  await journal.start(NEVER);
  const queue = journal.queue("q");
  const cursor = journal.cursor("c");
  for (let round = 0; round < ROUNDS; round++) {
    const bytes = Buffer.from(Array.from({ length: 40_000 }, () => Math.floor(random() * 256)));
    const entry = { topic: "t", payload: bytes, qos: 1, retain: false, properties: null } as const;
    const seq = journal.append(entry, 1, 0, [queue]);
    void journal
      .rows("space")
      .put("round", Buffer.from(`${round}`))
      .catch(() => {});
    await journal.committed();
    process.stdout.write(`${JSON.stringify({ seq, round })}\n`);
    // What lies further back than this is trimmed.
    if (round % 4 === 3) {
      cursor.move(seq - 2, 1);
      queue.acknowledge(queue.tailIndex - 2);
      await journal.committed();
      process.stdout.write(`${JSON.stringify({ passed: seq - 2 })}\n`);
      await journal.tidy();
    }
  }
  await journal.stop();
  process.stdout.write('"stopped"\n');
} catch (error) {
  if (!(error instanceof FieldgateError)) throw error;
  process.stderr.write(`${error.code} ${error.message}\n`);
  process.exit(2);
}
