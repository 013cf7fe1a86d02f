import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { newCounters } from "../../src/journal/counters.ts";
import { Space } from "../../src/journal/space.ts";
import type { Store } from "../../src/journal/store.ts";

describe("what is known of the room of a store", () => {
  it("comes from its files while they may change, and seldom while nothing is written; from the disk each time", async () => {
    const { space, counters, looks } = measured();
    counters.bytesWritten += 100;
    for (let i = 0; i < 6; i++) await space.look();
    assert.deepEqual(looks.splice(0), Array(6).fill(undefined));
    for (let i = 0; i < 60; i++) await space.look();
    assert.equal(looks.filter((known) => known === undefined).length, 2);
    assert.equal(looks.length, 60);
    assert.equal(space.bytes, 4096);
    counters.bytesWritten += 100;
    assert.equal(space.bytes, 4196);
    looks.length = 0;
    await space.look();
    assert.deepEqual(looks, [undefined]);
    assert.equal(space.bytes, 4096);
  });

  it("comes from its files whenever it is measured", async () => {
    const { space, looks } = measured();
    for (let i = 0; i < 20; i++) await space.look();
    looks.length = 0;
    await space.measure();
    assert.deepEqual(looks, [undefined]);
  });
});

function measured() {
  const looks: (number | undefined)[] = [];
  const store = {
    async measure(knownBytes?: number) {
      looks.push(knownBytes);
      return { bytes: knownBytes ?? 4096, freeBytes: 2 ** 30 };
    },
    reserve: { at: "ready", bytes: 0 },
  } as unknown as Store;
  const counters = newCounters();
  return { space: new Space(2 ** 30, store, counters), counters, looks };
}
