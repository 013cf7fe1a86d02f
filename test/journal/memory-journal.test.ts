import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { silentLog } from "../../src/base/log.ts";
import { memoryJournal } from "../../src/journal/memory-journal.ts";
import { MemoryStore } from "../../src/journal/memory-store.ts";
import { journalContract } from "../contract/journal.ts";
import { ALL, message, NOW } from "../support/journal-samples.ts";
import { memoryKind } from "../support/journals.ts";
import { memory } from "../support/memory.ts";
import { SimClock } from "../support/sim-clock.ts";

journalContract(memoryKind(1));

describe("a journal left to itself", () => {
  it("trims once enough can go at once, and not before", async () => {
    const clock = new SimClock();
    const journal = memoryJournal(
      { blockBytesMax: 1, tidyEveryMs: 1000, trimBytesMin: 2000, cursorDelayMs: 10 },
      { clock, log: silentLog, random: () => 0 },
    );
    await journal.start(new AbortController().signal);
    const cursor = journal.cursor("c");
    for (let i = 1; i <= 40; i++) journal.append(message("t", "x".repeat(50)), 0, NOW, []);
    for (const [seconds, place, trimmed] of [
      [5, 0, 0],
      [10, 5, 0],
      [15, 15, 0],
      [20, 30, 30],
      [25, 31, 30],
    ] as const) {
      cursor.move(place, 1);
      await clock.run(seconds * 1000);
      assert.equal(journal.counters.trimmedEntries, trimmed, `cursor at ${place}`);
    }
    assert.equal((await journal.read(0, ALL)).entries[0]?.seq, 31);
    await journal.stop();
  });

  it("trims after some megabytes, without waiting for its time", async () => {
    const clock = new SimClock();
    const options = { tidyEveryMs: 2 ** 30, cursorDelayMs: 10 };
    const journal = memoryJournal(options, { clock, log: silentLog, random: () => 0 });
    await journal.start(new AbortController().signal);
    const cursor = journal.cursor("c");
    for (let megabyte = 1; megabyte <= 10; megabyte++) {
      for (let i = 0; i < 16; i++) journal.append(message("t", "x".repeat(2 ** 16)), 0, NOW, []);
      await clock.run(megabyte * 100);
      cursor.move(journal.durableSeq, 16);
    }
    const kept = 160 - journal.counters.trimmedEntries;
    assert.ok(kept <= 6 * 16, `${kept} messages of 64 KiB are kept, and nobody needs them`);
    await journal.stop();
  });

  it("measures, and refuses, without being asked", async () => {
    const clock = new SimClock();
    const journal = memoryJournal(
      { bytesMax: 5000, tidyEveryMs: 1000 },
      { clock, log: silentLog, random: () => 0 },
    );
    await journal.start(new AbortController().signal);
    const cursor = journal.cursor("c");
    const append = () => journal.append(message("t", "x".repeat(1000)), 0, NOW, []);
    for (let i = 0; i < 4; i++) append();
    await clock.run(1000);
    append();
    assert.throws(append, /bytesMax/);
    await clock.run(2000);
    assert.throws(append, /bytesMax/);
    cursor.move(5, 5);
    await clock.run(10_000);
    assert.equal(append(), 6);
    await journal.stop();
  });
});

describe("a store in memory", () => {
  it("costs what its rows have, however many other buffers come and go between two of them", async () => {
    const store = new MemoryStore((task) => setImmediate(task), Math.random);
    await store.open();
    const before = await memory();
    for (let row = 0; row < 1000; row++) {
      const value = Buffer.from(`${row}`.padStart(100));
      await store.write([{ key: Buffer.from(`${row}`), value }], true);
      for (let other = 0; other < 8; other++) Buffer.from("x".repeat(1000));
    }
    const grown = (await memory()).buffers - before.buffers;
    assert.ok(grown < 300_000, `${grown} bytes are held for 1,000 rows of 100`);
    assert.equal((await store.measure()).bytes, 100_000);
  });
});
