import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { silentLog } from "../../src/base/log.ts";
import { systemClock } from "../../src/base/system-clock.ts";
import {
  describeBlock,
  EntryWalk,
  hollowBlock,
  laneTotalsOf,
  openBlock,
  stampOf,
} from "../../src/journal/block.ts";
import { BlockWriter } from "../../src/journal/block-writer.ts";
import { indexRow, openIndexRow, positionsOf } from "../../src/journal/index-row.ts";
import { blockKey, indexKey, KEY, kindKey, namedKey, spacePrefix } from "../../src/journal/keys.ts";
import { MemoryStore } from "../../src/journal/memory-store.ts";
import { DEFAULTS } from "../../src/journal/options.ts";
import { numbersRow, readNumbers, sealRow } from "../../src/journal/small-row.ts";
import { StoreJournal } from "../../src/journal/store-journal.ts";
import { message, NOW } from "../support/journal-samples.ts";

/** The bytes are those of docs/journal-format.md. When one of these must change, so must the version. */
describe("the format of the store", () => {
  it("writes the block of the documentation", () => {
    const writer = new BlockWriter();
    const wallMs = 1_700_000_000_000;
    writer.add(
      { topic: "t/1", payload: Buffer.from("on"), qos: 1, retain: false, properties: null },
      2,
      wallMs,
    );
    writer.add(
      { topic: "é", payload: Buffer.alloc(0), qos: 2, retain: true, properties: Buffer.from([9]) },
      0,
      wallMs - 3,
    );
    const block = writer.seal(2 ** 32 + 7, 5, 1000, [1, 0, 300]);
    check(block.value, [
      "4647 01 00 950a6937",
      "0000000100000007 00000002 00000011",
      "0005 0005 018bcfe56800 0000000003e8 00000005",
      "21 00 03742f31 02 6f6e",
      "0e 05 02c3a9 01 09 00",
      "01 ac02",
    ]);
    const opened = openBlock(block.value, 2 ** 32 + 7);
    assert.ok(opened);
    assert.deepEqual(laneTotalsOf(opened).slice(0, 4), [1, 0, 300, 0]);
    const walk = new EntryWalk(opened);
    assert.ok(walk.next() && walk.next() && !walk.next());
    assert.equal(walk.entry().wallMs, wallMs - 3);
    assert.equal(openBlock(block.value, 2 ** 32 + 8), null);
  });

  it("stamps a block as the documentation says, and an older program reads it all the same", () => {
    const writer = new BlockWriter();
    const plain = { payload: Buffer.from("on"), qos: 1, retain: false, properties: null } as const;
    writer.add({ topic: "t/1", ...plain }, 2, 1_700_000_000_000);
    const stamp = {
      bootId: "2f6c2f0e3a514b1e9a0c7d3c0b1d2e3f",
      bootMs: 65_537,
      quality: "free-running" as const,
    };
    const block = writer.seal(7, 0, 1000, [0, 0, 300], stamp);
    check(block.value, [
      "4647 01 01 62e18fd6",
      "0000000000000007 00000001 00000009",
      "0004 0004 018bcfe56800 0000000003e8 00000000",
      "21 00 03742f31 02 6f6e",
      "ac02",
      "01 000000010001 2f6c2f0e3a514b1e9a0c7d3c0b1d2e3f",
    ]);
    assert.deepEqual(stampOf(block), stamp);
    // All that a program without stamps looks at: the checksum, the entries, the totals.
    const opened = openBlock(block.value, 7);
    assert.ok(opened);
    assert.deepEqual(laneTotalsOf(opened).slice(0, 4), [0, 0, 300, 0]);
    assert.deepEqual(stampOf(describeBlock(hollowBlock(opened))), stamp, "a hollow block keeps it");
  });

  it("writes the keys of the documentation", () => {
    check(blockKey(2 ** 32 + 7), ["62 0000000100000007"]);
    check(indexKey(3, 7), ["71 00000003 0000000000000007"]);
    check(namedKey(KEY.cursor, "up"), ["63 7570"]);
    check(spacePrefix("ret"), ["72 03 726574"]);
  });

  it("writes the rows of the documentation", () => {
    const key = namedKey(KEY.cursor, "up");
    const cursor = numbersRow(key, [300, 2]);
    check(cursor, ["ac02 02 69f5b4de"]);
    assert.deepEqual(readNumbers(key, cursor, 2)?.numbers, [300, 2]);
    assert.equal(readNumbers(namedKey(KEY.cursor, "un"), cursor, 2), null);

    const index = indexKey(3, 7);
    const place = { seq: 7, firstIndex: 11, bytesBefore: 200, bytes: 40 };
    const row = indexRow(index, place, [0, 1, 5]);
    check(row.value, ["0b c801 28 03 00 00 03 d2218e13"]);
    assert.deepEqual(positionsOf(row), [0, 1, 5]);
    assert.deepEqual(openIndexRow(index, 7, row.value), row);
    assert.equal(openIndexRow(indexKey(4, 7), 7, row.value), null);
  });

  it("has these rows and no others after a short life", async () => {
    const store = new MemoryStore(systemClock.afterTurn, () => 0);
    const tools = { clock: systemClock, log: silentLog, random: () => 0 };
    const options = { ...DEFAULTS, bytesMax: 2 ** 30, durability: "local" as const };
    const journal = new StoreJournal(store, options, tools);
    await journal.start(new AbortController().signal);
    const queue = journal.queue("s1");
    for (const name of ["a", "b"]) {
      journal.append(message("t/1", name), 1, NOW, [queue]);
      await journal.committed();
    }
    journal.cursor("up").move(2, 2, { expired: 1 });
    queue.acknowledge(1);
    journal.queue("gone").drop();
    await journal.rows("ret").put("t/1", Buffer.from("kept"));
    await journal.tidy();
    await journal.stop();
    await store.open();
    const range = { gte: Buffer.alloc(1), lt: Buffer.from([255]), rowsMax: 100, bytesMax: 2 ** 20 };
    const rows = (await store.page(range)).map(
      ([key, value]) => `${key.toString("hex")} ${value.toString("hex")}`,
    );
    const meta = sealRow(kindKey(KEY.meta), Buffer.from(`0001${journal.id}`, "hex"));
    const block = [
      "464701002b157205" + "0000000000000002" + "00000001" + "00000008",
      "00020002" + "018bcfe56800" + "000000000035" + "00000000" + "11000374" + "2f310162" + "02",
    ];
    assert.deepEqual(rows, [
      `620000000000000002 ${block.join("")}`,
      "637570 0202657870697265643d31afdfab3b",
      "6800000001 01040273310eacbfd1",
      `6d ${meta.toString("hex")}`,
      "6e 0323ae056c",
      "71000000010000000000000002 02040401007a56f033",
      "7203726574742f31 6b6570744ee4d6d6",
      "74 01350111ed70c0",
    ]);
  });

  it("keeps numbers up to 2^53 - 1 as they are", () => {
    const key = Buffer.from("k");
    for (const number of [0, 127, 128, 2 ** 31 - 1, 2 ** 31, 2 ** 32, Number.MAX_SAFE_INTEGER]) {
      assert.deepEqual(readNumbers(key, numbersRow(key, [number]), 1)?.numbers, [number]);
    }
  });
});

function check(bytes: Buffer, hex: readonly string[]): void {
  assert.equal(bytes.toString("hex"), hex.join("").replaceAll(" ", ""));
}
