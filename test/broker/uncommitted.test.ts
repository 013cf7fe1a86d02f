import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Publisher } from "../../src/broker/intake.ts";
import type { Route } from "../../src/broker/router.ts";
import type { Session } from "../../src/broker/session.ts";
import { Uncommitted } from "../../src/broker/uncommitted.ts";
import { publishFrameOf } from "../../src/mqtt/publish-frame.ts";

const ROUTE = {} as Route<Session>;
const PUBLISHER = {} as Publisher;
const FRAME = publishFrameOf({
  ...{ topic: "t", payload: Buffer.from("x"), qos: 1, retain: false, properties: null },
});

describe("messages on their way to the disk", () => {
  it("are let go of in their order, through what is durable, however many come meanwhile", () => {
    const came: number[] = [];
    let pushed = 0;
    const push = () => uncommitted.push(++pushed, FRAME, ROUTE, PUBLISHER, pushed, null, []);
    const uncommitted = new Uncommitted((_frame, _route, _publisher, token) => {
      came.push(token);
      if (token % 3 === 0) push(); // one that is released may bring another one
    });
    for (let round = 0; round < 200; round++) {
      for (let i = 0; i < 1 + (round % 40); i++) push();
      uncommitted.release(pushed - (round % 7));
    }
    for (let before = -1; before !== pushed; ) {
      before = pushed;
      uncommitted.release(Number.POSITIVE_INFINITY);
    }
    assert.deepEqual(
      came,
      Array.from({ length: pushed }, (_, i) => i + 1),
    );
  });

  it("wait beyond forty thousand, and once they are through, more may wait", () => {
    const came: number[] = [];
    const uncommitted = new Uncommitted((_frame, _route, _publisher, token) => came.push(token));
    for (const from of [0, 40_000]) {
      for (let n = from; n < from + 40_000; n++) {
        uncommitted.push(n, FRAME, ROUTE, PUBLISHER, n, null, []);
      }
      assert.equal(came.length, from);
      uncommitted.release(from + 40_000);
    }
    assert.deepEqual(
      came,
      Array.from({ length: 80_000 }, (_, n) => n),
    );
  });
});
