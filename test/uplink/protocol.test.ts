import assert from "node:assert/strict";
import { describe, it } from "node:test";
import {
  ACCEPTED,
  afterRebuff,
  firstChoice,
  NOTHING_KNOWN,
  type Rebuff,
  type Spoken,
} from "../../src/uplink/protocol.ts";

describe("the version that an endpoint speaks", () => {
  it("is 5 until the endpoint refuses it in so many words", () => {
    check(NOTHING_KNOWN, ["unrelated", "unrelated"], "5 5");
    check(NOTHING_KNOWN, ["refused"], "3.1.1!");
  });

  it("is taken for 3.1.1 for now when the endpoint keeps hanging up on 5", () => {
    check(NOTHING_KNOWN, ["hung up", "hung up", "hung up", "hung up"], "5 5 5! 5!");
  });

  it("stays 5 where 5 was accepted once, whatever a bad line does", () => {
    check(ACCEPTED, ["hung up", "hung up", "hung up", "hung up"], "5 5 5 5");
    check(ACCEPTED, ["refused"], "3.1.1!");
  });
});

/** After each rebuff: what is tried first the next time, with ! where 3.1.1 is tried at once. */
function check(known: Spoken, rebuffs: readonly Rebuff[], expected: string): void {
  let spoken = known;
  const seen = rebuffs.map((rebuff) => {
    const [next, fallBack] = afterRebuff(spoken, rebuff);
    spoken = next;
    return firstChoice(spoken) + (fallBack ? "!" : "");
  });
  assert.equal(seen.join(" "), expected);
}
