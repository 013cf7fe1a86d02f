import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { silentLog } from "../../src/base/log.ts";
import { systemClock } from "../../src/base/system-clock.ts";
import { memoryJournal } from "../../src/journal/memory-journal.ts";
import { MemoryStore } from "../../src/journal/memory-store.ts";
import { DEFAULTS } from "../../src/journal/options.ts";
import { StoreJournal } from "../../src/journal/store-journal.ts";
import { message, NOW, text } from "../support/journal-samples.ts";
import { SimClock } from "../support/sim-clock.ts";

describe("a backlog on disk", () => {
  it("is read from the store once, however few a reader takes at a time", async (t) => {
    const { journal, store } = await backlog(200);
    t.after(() => journal.stop());
    const got: string[] = [];
    for (let after = 0; after < journal.durableSeq; ) {
      const part = await journal.read(after, { messagesMax: 3, bytesMax: 2 ** 20 }, 1);
      got.push(...part.entries.map(text));
      after = part.throughSeq;
    }
    assert.deepEqual(
      got,
      Array.from({ length: 200 }, (_, i) => `${i}`),
    );
    assert.ok(store.rowsRead <= 200 + 8, `200 blocks, ${store.rowsRead} rows read`);
  });

  it("costs a session no more rows than it takes", async (t) => {
    const { journal, store } = await backlog(200);
    t.after(() => journal.stop());
    const queue = journal.queue("session");
    const got = await queue.read(0, { messagesMax: 10, bytesMax: 2 ** 20 });
    assert.equal(got.length, 10);
    assert.ok(store.rowsRead <= 4 * 10, `10 messages, ${store.rowsRead} rows read`);
  });

  it("costs a start the same few rows, however long it is", async () => {
    const rows: number[] = [];
    for (const messages of [20, 2000]) {
      const { journal, store, again } = await backlog(messages);
      await journal.stop();
      store.rowsRead = 0;
      const next = again();
      await next.start(new AbortController().signal);
      rows.push(store.rowsRead);
      assert.equal(next.queue("session").tailIndex, messages);
      await next.stop();
    }
    assert.equal(rows[1], rows[0]);
    assert.ok((rows[0] ?? 0) < 20, `${rows} rows`);
  });

  it("has a payload once, however many sessions wait for it", async () => {
    const written: number[] = [];
    for (const sessions of [1, 100]) {
      const { journal } = await backlog(0);
      const queues = Array.from({ length: sessions }, (_, i) => journal.queue(`s${i}`));
      await journal.committed();
      const before = journal.counters.bytesWritten;
      journal.append(message("t", "x".repeat(10_000)), 0, NOW, queues);
      await journal.committed();
      written.push(journal.counters.bytesWritten - before);
      await journal.stop();
    }
    const [one = 0, hundred = 0] = written;
    assert.ok(one >= 10_000 && hundred - one < 99 * 100, `${written} bytes`);
  });
});

describe("a commit that may wait", () => {
  it("takes what comes within commitDelayMs with it, and nothing is durable before", async () => {
    const clock = new SimClock();
    const tools = { clock, log: silentLog, random: () => 0 };
    const journal = memoryJournal({ commitDelayMs: 20 }, tools);
    await journal.start(new AbortController().signal);
    for (const ms of [0, 5, 15, 19]) {
      await clock.run(ms);
      journal.append(message("t", `${ms}`), 0, NOW, []);
    }
    assert.deepEqual([journal.durableSeq, journal.counters.commits], [0, 0]);
    await clock.run(21);
    await journal.committed();
    assert.deepEqual([journal.durableSeq, journal.counters.commits], [4, 1]);
    await journal.stop();
  });
});

class CountingStore extends MemoryStore {
  rowsRead = 0;

  override async page(range: Parameters<MemoryStore["page"]>[0]) {
    const rows = await super.page(range);
    this.rowsRead += rows.length;
    return rows;
  }

  override get(key: Buffer) {
    this.rowsRead++;
    return super.get(key);
  }
}

/** A journal with a block for each message, none of which is in memory. */
async function backlog(messages: number) {
  const tools = { clock: systemClock, log: silentLog, random: Math.random };
  const store = new CountingStore(systemClock.afterTurn, tools.random);
  const sizes = { bytesMax: 2 ** 30, blockBytesMax: 1, tailBytesMax: 1 };
  const options = { ...DEFAULTS, durability: "local" as const, ...sizes };
  const journal = new StoreJournal(store, options, tools);
  await journal.start(new AbortController().signal);
  journal.cursor("reader");
  const queue = journal.queue("session");
  for (let i = 0; i < messages; i++) journal.append(message("t", `${i}`), 1, NOW, [queue]);
  await journal.committed();
  store.rowsRead = 0;
  const again = () => new StoreJournal(store, options, tools);
  return { journal, store, again };
}
