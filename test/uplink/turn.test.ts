import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Turn } from "../../src/uplink/turn.ts";

describe("whose turn it is", () => {
  it("nobody's when nobody has anything", () => {
    check("---", "-");
  });

  it("the first lane's when it is alone, or before the others", () => {
    check("a-- a-- --c -b- -bc abc", "a a c b b a");
  });

  it("still the others' for their guaranteed share: a quarter and a sixteenth", () => {
    const counts = { a: 0, b: 0, c: 0 };
    for (const lane of play(Array.from({ length: 1600 }, () => "abc"))) {
      counts[lane as keyof typeof counts]++;
    }
    assert.equal(counts.b, 400);
    // Where both are owed, b goes first: the last of c's may come one message later.
    assert.ok(counts.c >= 99, `${counts.c}`);
    assert.equal(counts.a, 1200 - counts.c);
  });

  it("soon the waiting lane's: within four messages for b, sixteen for c", () => {
    check("ab- ab- ab- ab- ab- ab- ab- ab-", "a a a b a a a b");
    const turns = play(Array.from({ length: 32 }, () => "a-c"));
    assert.deepEqual(
      turns.flatMap((lane, index) => (lane === "c" ? [index + 1] : [])),
      [16, 32],
    );
  });

  it("not saved up by a lane that has nothing to send", () => {
    check("a-- a-- a-- a-- a-- ab- ab- ab- ab-", "a a a a a a a a b");
  });
});

function play(ready: readonly string[]): string[] {
  const turn = new Turn([0, 1 / 4, 1 / 16]);
  return ready.map((lanes) => {
    const mask = [..."abc"].reduce(
      (bits, lane, bit) => bits | (lanes.includes(lane) ? 1 << bit : 0),
      0,
    );
    return "abc"[turn.next(mask)] ?? "-";
  });
}

/** Each word names the lanes that have something to send; each answer the lane whose turn it is. */
function check(ready: string, expected: string): void {
  assert.equal(play(ready.split(" ")).join(" "), expected);
}
