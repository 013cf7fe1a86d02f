import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { EntryWalk, laneTotalsOf, openBlock } from "../../src/journal/block.ts";
import { BlockWriter } from "../../src/journal/block-writer.ts";
import { indexRow, openIndexRow, positionsOf } from "../../src/journal/index-row.ts";
import { blockKey, indexKey, KEY, namedKey, spacePrefix } from "../../src/journal/keys.ts";
import { numbersRow, readNumbers } from "../../src/journal/small-row.ts";

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
