import assert from "node:assert/strict";
import { it } from "node:test";
import { indexRow, openIndexRow, positionsOf } from "../../src/journal/index-row.ts";
import { indexKey } from "../../src/journal/keys.ts";

it("a row of a queue, of which thousands stay in memory, keeps none but its own bytes", () => {
  for (let seq = 1; seq <= 100; seq++) {
    const key = indexKey(7, seq);
    const row = indexRow(key, { seq, firstIndex: seq, bytesBefore: 0, bytes: 10 }, [0, 3]);
    assert.equal(row.value.buffer.byteLength, row.value.length);
    const opened = openIndexRow(key, seq, row.value);
    assert.deepEqual(opened && positionsOf(opened), [0, 3]);
  }
});
