import { readFileSync } from "node:fs";
import { silentLog } from "../../src/base/log.ts";
import { systemClock } from "../../src/base/system-clock.ts";
import type { Cursor, Journal, Queue } from "../../src/journal/journal.ts";
import { type LevelJournal, levelJournal } from "../../src/journal/level-journal.ts";
import type { JournalOptions } from "../../src/journal/options.ts";
import type { Message } from "../../src/mqtt/message.ts";

const NEVER = new AbortController().signal;
const TOOLS = { clock: systemClock, log: silentLog, random: Math.random };

/** 100 bytes of payload, half of it noise, and a topic of 20 bytes. */
export const MESSAGE_BYTES = 120;
export const MESSAGES: readonly Message[] = Array.from({ length: 1000 }, (_, i) => sample(i));

/** A journal with a reader and a session, started. */
export class Loaded {
  readonly journal: LevelJournal;
  readonly reader: Cursor;
  readonly session: Queue;
  messages = 0;

  private constructor(journal: LevelJournal) {
    this.journal = journal;
    this.reader = journal.cursor("reader");
    this.session = journal.queue("session");
  }

  static async start(path: string, options: Partial<JournalOptions> = {}): Promise<Loaded> {
    const base = { path, bytesMax: 64 * 2 ** 30, durability: "local" as const };
    const journal = levelJournal({ ...base, ...options }, TOOLS);
    await journal.start(NEVER);
    return new Loaded(journal);
  }

  /** One commit of so many messages, for the reader alone, who takes them at once. */
  async pass(waiting: number): Promise<void> {
    await this.grow(waiting, []);
    this.reader.move(this.journal.durableSeq, waiting);
  }

  /** One commit of so many messages, which stay. */
  async grow(waiting: number, queues: readonly Queue[] = [this.session]): Promise<void> {
    for (let i = 0; i < waiting; i++) {
      this.journal.append(MESSAGES[i % 1000] as Message, 1, Date.now(), queues);
    }
    await this.journal.committed();
    this.messages += waiting;
  }

  /** One commit of so many messages, which reader and session take at once. */
  async follow(waiting: number): Promise<void> {
    await this.grow(waiting);
    this.reader.move(this.journal.durableSeq, waiting);
    this.session.acknowledge(this.session.tailIndex);
  }
}

/** Messages a second of a step that makes so many durable, over `ms`. */
export async function rateOf(
  ms: number,
  messages: number,
  step: () => Promise<void>,
): Promise<number> {
  const begun = performance.now();
  let count = 0;
  while (performance.now() - begun < ms) {
    await step();
    count += messages;
  }
  return (count * 1000) / (performance.now() - begun);
}

/** Messages a second of reading a journal from its first entry to its last. */
export async function replay(journal: Journal): Promise<number> {
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

/** The same for a session that acknowledges what it took, for `ms` at most. */
export async function replayQueue(queue: Queue, ms: number): Promise<number> {
  const begun = performance.now();
  let count = 0;
  while (performance.now() - begun < ms) {
    const part = await queue.read(queue.headIndex, { messagesMax: 1000, bytesMax: 2 ** 20 });
    if (part.length === 0) break;
    count += part.length;
    queue.acknowledge(queue.headIndex + part.length);
  }
  return (count * 1000) / (performance.now() - begun);
}

/** What this process had written to the block layer: LevelDB's log, its tables and what it merges, in whole pages. */
export function deviceBytes(): number {
  return Number(/^write_bytes: (\d+)$/m.exec(readFileSync("/proc/self/io", "utf8"))?.[1]);
}

function sample(i: number): Message {
  const noise = Array.from({ length: 50 }, () => Math.floor(Math.random() * 256));
  const payload = Buffer.concat([
    Buffer.from(`{"value":${i},"unit":"bar"}`.padEnd(50)),
    Buffer.from(noise),
  ]);
  const topic = `plant/line-${i % 10}/sensor-${i % 10}`.padEnd(20, "x").slice(0, 20);
  return { topic, payload, qos: 1, retain: false, properties: null };
}
