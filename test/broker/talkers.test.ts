import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Talkers } from "../../src/broker/talkers.ts";

describe("the talkers", () => {
  it("are those who published in the last window, the loudest first, with their rate", () => {
    const talkers = new Talkers();
    const a = { clientId: "a", published: 100 };
    const b = { clientId: "b", published: 0 };
    talkers.watch(0, [a, b]);
    assert.deepEqual(talkers.all, [], "nothing can be told of one look");
    a.published += 10;
    b.published += 50;
    talkers.watch(1000, [a, b]);
    assert.deepEqual(talkers.all, [], "the window is not over");
    talkers.watch(5000, [a, b]);
    const rates = [
      { clientId: "b", perSecond: 10 },
      { clientId: "a", perSecond: 2 },
    ];
    assert.deepEqual(talkers.all, rates);
    talkers.watch(10_000, [a]);
    assert.deepEqual(talkers.all, [], "who is silent or gone is none");
  });
});
