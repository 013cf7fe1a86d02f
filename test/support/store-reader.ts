/**
 * Opens stores, one after the other, says what is in each, adds to it and closes it: in a process of its own, because LevelDB may
 * end the process that reads a damaged one. Arguments: PATH... It writes a line of JSON for each.
 */
import { createHash } from "node:crypto";
import { systemClock } from "../../src/base/system-clock.ts";
import type { Queue } from "../../src/journal/journal.ts";
import { levelJournal } from "../../src/journal/level-journal.ts";
import type { StoreJournal } from "../../src/journal/store-journal.ts";
import { STORE_OPTIONS } from "./store-options.ts";
import { Told } from "./told-losses.ts";

export interface StoreReading {
  readonly quarantine: string | null;
  readonly id: string;
  /** Seq and digest of each entry that it gave out. */
  readonly entries: readonly (readonly [seq: number, digest: string])[];
  /** Seqs that it said are missing. */
  readonly missing: readonly number[];
  /** References that the queue has, gave out, and said are lost. */
  readonly queue: { readonly waiting: number; readonly read: number; readonly lost: number };
  readonly isRepaired: boolean;
  readonly told: string;
}

const NEVER = new AbortController().signal;
const PAGE = { messagesMax: 50, bytesMax: 2 ** 20 };
/** Enough for LevelDB to write a table and merge it with what is there. */
const MORE = 60;

for (const path of process.argv.slice(2)) {
  const told = new Told();
  const tools = { clock: systemClock, log: told.log, random: Math.random };
  const journal = levelJournal({ path, ...STORE_OPTIONS }, tools);
  await journal.start(NEVER);
  const entries = await readAll(journal);
  const queue = await readQueue(journal.queue("q"));
  const lost = journal.counters.missingReferences;
  for (let i = 0; i < MORE; i++) {
    const payload = Buffer.alloc(8000, i);
    journal.append({ topic: "t", payload, qos: 1, retain: false, properties: null }, 1, 0, []);
    await journal.committed();
  }
  await journal.stop();
  const { quarantine, id } = journal;
  const isRepaired = told.text().includes("has been repaired");
  const reading: StoreReading = {
    ...{ quarantine, id, entries, isRepaired, missing: told.missing(), told: told.text() },
    queue: { ...queue, lost },
  };
  process.stdout.write(`${JSON.stringify(reading)}\n`);
}

async function readAll(journal: StoreJournal): Promise<[number, string][]> {
  const found: [number, string][] = [];
  for (let at = 0; at < journal.durableSeq; ) {
    const { entries, throughSeq } = await journal.read(at, PAGE);
    for (const { seq, message } of entries) found.push([seq, digest(message.payload)]);
    at = throughSeq;
  }
  return found;
}

async function readQueue(queue: Queue): Promise<{ waiting: number; read: number }> {
  const waiting = queue.tailIndex - queue.headIndex;
  let read = 0;
  for (let after = queue.headIndex; ; ) {
    const found = await queue.read(after, PAGE);
    if (found.length === 0) return { waiting, read };
    read += found.length;
    after = found.at(-1)?.index ?? after;
  }
}

function digest(payload: Uint8Array): string {
  return createHash("sha256").update(payload).digest("hex").slice(0, 16);
}
