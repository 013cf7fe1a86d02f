import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Inflight } from "../../src/broker/inflight.ts";
import { seededRandom } from "../support/random.ts";

describe("what is in flight", () => {
  it("is found by its identifier as in a Map, whatever comes and goes in whatever order", () => {
    const seed = Number(process.env["SEED"] ?? Math.floor(Math.random() * 2 ** 31));
    for (let story = 0; story < 200; story++) check(seed + story);
  });

  it("finds room beside identifiers that stay behind, up to all of them", () => {
    const inflight = new Inflight<{ packetId: number }>();
    for (let packetId = 1; packetId <= 65_535; packetId++) inflight.add({ packetId });
    assert.equal(inflight.size, 65_535);
    assert.equal(inflight.get(65_535)?.packetId, 65_535);
    assert.equal(inflight.get(0), undefined);
  });
});

/** A story of identifiers that are mostly given out one after the other, and come back in any order. */
function check(seed: number): void {
  const random = seededRandom(seed);
  const known = new Map<number, { packetId: number }>();
  const inflight = new Inflight<{ packetId: number }>();
  let next = Math.floor(random() * 65_536);
  for (let step = 0; step < 500; step++) {
    const chance = random();
    if (chance < 0.01) next = Math.floor(random() * 65_536);
    if (chance < 0.5) {
      next = (next % 65_535) + 1;
      if (known.has(next)) continue;
      const item = { packetId: next };
      known.set(next, item);
      inflight.add(item);
    } else {
      const ids = [...known.keys()];
      const packetId = ids[Math.floor(random() * ids.length)] ?? next;
      known.delete(packetId);
      inflight.delete(packetId);
      assert.equal(inflight.get(packetId), undefined, `SEED=${seed}`);
    }
    assert.equal(inflight.size, known.size, `SEED=${seed}`);
    assert.equal(inflight.get(next), known.get(next), `SEED=${seed}`);
  }
  assert.deepEqual(
    inflight.all(),
    [...known.values()],
    `in the order of their coming, SEED=${seed}`,
  );
}
