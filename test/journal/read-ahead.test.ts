import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { silentLog } from "../../src/base/log.ts";
import { systemClock } from "../../src/base/system-clock.ts";
import { MemoryStore } from "../../src/journal/memory-store.ts";
import { DEFAULTS } from "../../src/journal/options.ts";
import { StoreJournal } from "../../src/journal/store-journal.ts";
import { message, NOW, text } from "../support/journal-samples.ts";

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
});

class CountingStore extends MemoryStore {
  rowsRead = 0;

  override async page(range: Parameters<MemoryStore["page"]>[0]) {
    const rows = await super.page(range);
    this.rowsRead += rows.length;
    return rows;
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
  return { journal, store };
}
