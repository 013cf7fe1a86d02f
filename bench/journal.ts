import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { open } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { silentLog } from "../src/base/log.ts";
import { systemClock } from "../src/base/system-clock.ts";
import type { Journal } from "../src/journal/journal.ts";
import { type LevelJournalOptions, levelJournal } from "../src/journal/level-journal.ts";
import type { Message } from "../src/mqtt/message.ts";

/**
 * The figures of the journal: `node --import tsx bench/journal.ts [backlog in messages] [directory]`. Ratios are of one run on one
 * disk. Messages have 100 bytes of payload, half of it noise, and a topic of 20 bytes.
 */
const BACKLOG = Number(process.argv[2] ?? 1_000_000);
const PARENT = process.argv[3] ?? tmpdir();
const NEVER = new AbortController().signal;
const TURN_MS = 1000;
const TURNS = 5;
const MESSAGES = Array.from({ length: 1000 }, (_, i) => sample(i));
const MESSAGE_BYTES = 120;
const TOOLS = { clock: systemClock, log: silentLog, random: Math.random };

const directory = mkdtempSync(join(PARENT, "fieldgate-bench-"));
try {
  await appending("1,000 waiting", 1000);
  await appending("one waiter alone", 1);
  await amplification();
  await backlog();
} finally {
  rmSync(directory, { recursive: true, force: true });
}

/**
 * So many publishers, each of which appends its next message when its last one is durable; in turns with a file and nothing
 * but write and fdatasync of as many bytes, because other programs use the disk too. The medians of the turns.
 */
async function appending(name: string, waiting: number): Promise<void> {
  const file = await open(join(directory, `bare-${waiting}`), "w");
  const bytes = Buffer.alloc(waiting * MESSAGE_BYTES, 0x61);
  await withJournal(name, {}, async (journal) => {
    const cursor = journal.cursor("reader");
    const ours: number[] = [];
    const bare: number[] = [];
    for (let turn = 0; turn < TURNS; turn++) {
      ours.push(
        await rateOf(waiting, async () => {
          for (let i = 0; i < waiting; i++) {
            journal.append(MESSAGES[i] as Message, 1, Date.now(), []);
          }
          await journal.committed();
          cursor.move(journal.durableSeq, waiting);
        }),
      );
      bare.push(
        await rateOf(waiting, async () => {
          await file.write(bytes);
          await file.datasync();
        }),
      );
    }
    const ratio = (median(bare) / median(ours)).toFixed(2);
    print(
      `append and sync, ${name}`,
      `${round(median(ours))} messages/s; bare write and fdatasync ${round(median(bare))}, ${ratio} times as fast`,
    );
  });
  await file.close();
}

/** A reader right behind and a session that waits: what the device is asked to write for each byte of message. */
async function amplification(): Promise<void> {
  for (const waiting of [100, 1000]) {
    await withJournal(`amplification-${waiting}`, {}, async (journal) => {
      const cursor = journal.cursor("reader");
      const queue = journal.queue("session");
      const before = deviceBytes();
      let messages = 0;
      const rate = await rateOf(waiting, async () => {
        for (let i = 0; i < waiting; i++) {
          journal.append(MESSAGES[i] as Message, 1, Date.now(), [queue]);
        }
        await journal.committed();
        cursor.move(journal.durableSeq, waiting);
        queue.acknowledge(queue.tailIndex);
        messages += waiting;
      });
      await journal.tidy();
      const ratio = (deviceBytes() - before) / (messages * MESSAGE_BYTES);
      print(
        `write amplification, fills and drains, ${waiting} a commit`,
        `${ratio.toFixed(2)} bytes a byte of topic and payload, at ${round(rate)} messages/s`,
      );
    });
  }
}

/** A journal whose reader and session do nothing for long, in turns with one whose readers follow. */
async function backlog(): Promise<void> {
  const path = join(directory, "backlog");
  const options = { path, bytesMax: 64 * 2 ** 30, durability: "local" as const };
  const full = levelJournal(options, TOOLS);
  await full.start(NEVER);
  full.cursor("reader");
  const queue = full.queue("session");
  const grow = async () => {
    for (const message of MESSAGES) full.append(message, 1, Date.now(), [queue]);
    await full.committed();
  };
  const before = deviceBytes();
  for (let i = 0; i < BACKLOG; i += 1000) await grow();
  const ratio = (deviceBytes() - before) / (BACKLOG * MESSAGE_BYTES);
  print("write amplification while a backlog grows", ratio.toFixed(2));
  await withJournal("empty", {}, async (empty) => {
    const cursor = empty.cursor("reader");
    const drained = empty.queue("session");
    const follow = async () => {
      for (const message of MESSAGES) empty.append(message, 1, Date.now(), [drained]);
      await empty.committed();
      cursor.move(empty.durableSeq, 1000);
      drained.acknowledge(drained.tailIndex);
    };
    const rates: { full: number; empty: number }[] = [];
    for (let turn = 0; turn < TURNS; turn++) {
      rates.push({ full: await rateOf(1000, grow), empty: await rateOf(1000, follow) });
    }
    const withBacklog = median(rates.map((rate) => rate.full));
    const without = median(rates.map((rate) => rate.empty));
    print(
      `append with a backlog of ${round(BACKLOG)}, against an empty journal`,
      `${(withBacklog / without).toFixed(2)} (${round(withBacklog)} and ${round(without)} messages/s)`,
    );
  });
  await full.stop();
  await starting(options);
}

async function starting(options: LevelJournalOptions): Promise<void> {
  global.gc?.();
  const idle = process.memoryUsage().rss;
  const journal = levelJournal(options, TOOLS);
  const begun = performance.now();
  await journal.start(NEVER);
  print(
    `start with ${round(journal.lastSeq)} messages queued`,
    `${(performance.now() - begun).toFixed(0)} ms, ${mib(process.memoryUsage().rss - idle)} MiB more in memory`,
  );
  const replayed = await replay(journal);
  print("replay from disk to a reader", `${round(replayed)} messages/s`);
  const queued = await replayQueue(journal);
  print("replay from disk to a session", `${round(queued)} messages/s`);
  const before = journal.storeBytes;
  journal.forgetCursor("reader");
  journal.queue("session").drop();
  const trimming = performance.now();
  await journal.tidy();
  print(
    "trim all of it and give the space back",
    `${mib(before)} to ${mib(journal.storeBytes)} MiB in ${((performance.now() - trimming) / 1000).toFixed(1)} s`,
  );
  await journal.stop();
}

async function replay(journal: Journal): Promise<number> {
  const begun = performance.now();
  let count = 0;
  let afterSeq = 0;
  while (afterSeq < journal.durableSeq) {
    const part = await journal.read(afterSeq, { messagesMax: 1000, bytesMax: 2 ** 20 }, 1);
    count += part.entries.length;
    afterSeq = part.throughSeq;
  }
  return (count * 1000) / (performance.now() - begun);
}

async function replayQueue(journal: Journal): Promise<number> {
  const queue = journal.queue("session");
  const begun = performance.now();
  let count = 0;
  while (performance.now() - begun < TURN_MS) {
    const part = await queue.read(queue.headIndex, { messagesMax: 1000, bytesMax: 2 ** 20 });
    if (part.length === 0) break;
    count += part.length;
    queue.acknowledge(queue.headIndex + part.length);
  }
  return (count * 1000) / (performance.now() - begun);
}

/** Messages a second of a step that makes `messages` durable. */
async function rateOf(messages: number, step: () => Promise<void>): Promise<number> {
  const begun = performance.now();
  let count = 0;
  while (performance.now() - begun < TURN_MS) {
    await step();
    count += messages;
  }
  return (count * 1000) / (performance.now() - begun);
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
}

async function withJournal(
  name: string,
  options: Partial<LevelJournalOptions>,
  use: (journal: ReturnType<typeof levelJournal>) => Promise<void>,
): Promise<void> {
  const path = join(directory, name.replaceAll(/\W/g, "-"));
  const base = { path, bytesMax: 64 * 2 ** 30, durability: "local" as const };
  const journal = levelJournal({ ...base, ...options }, TOOLS);
  await journal.start(NEVER);
  await use(journal);
  await journal.stop();
}

/** What this process had written to the block layer. */
function deviceBytes(): number {
  return Number(/^write_bytes: (\d+)$/m.exec(readFileSync("/proc/self/io", "utf8"))?.[1]);
}

function sample(i: number): Message {
  const noise = Array.from({ length: 50 }, () => Math.floor(Math.random() * 256));
  const payload = Buffer.concat([
    Buffer.from(`{"value":${i},"unit":"bar"}`.padEnd(50)),
    Buffer.from(noise),
  ]);
  return {
    topic: `plant/line-${i % 10}/sensor-${i % 10}`.padEnd(20, "x").slice(0, 20),
    payload,
    qos: 1,
    retain: false,
    properties: null,
  };
}

function print(what: string, figure: string): void {
  console.log(`${what.padEnd(66)} ${figure}`);
}

function round(value: number): string {
  return Math.round(value).toLocaleString("en");
}

function mib(bytes: number): string {
  return (bytes / 2 ** 20).toFixed(0);
}
