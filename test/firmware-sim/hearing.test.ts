import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Hearing } from "../../firmware-sim/hearing.ts";

const LINES = 0x0a;
const COBS = 0;

describe("what a receiver finds on a cable", () => {
  it("is every frame that came as it was meant", () => {
    check(LINES, ["ab\r\n", "cd\r\n"], "ab\r\ncd\r\n", { found: [1, 2], pieces: 2 });
    check(COBS, ["\0ab\0", "\0cd\0"], "\0ab\0\0cd\0", { found: [1, 2], pieces: 2 });
  });

  it("is also a frame of which only the delimiter was doubled or lost", () => {
    check(LINES, ["ab\r\n", "cd\r\n"], "ab\r\n\ncd\n", { found: [1, 2], pieces: 2 });
    check(COBS, ["\0ab\0", "\0cd\0"], "\0ab\0cd\0", { found: [1, 2], pieces: 2 });
    check(COBS, ["\0ab\0", "\0cd\0"], "ab\0\0\0cd\0", { found: [1, 2], pieces: 2 });
  });

  it("is none that runs into the next, has another byte, or noise in front", () => {
    check(LINES, ["ab\r\n", "cd\r\n"], "ab\rcd\r\n", { found: [], pieces: 1 });
    check(LINES, ["ab\r\n"], "abb\r\n", { found: [], pieces: 1 });
    check(LINES, ["ab\r\n"], "ab\r\r\n", { found: [], pieces: 1 });
    check(COBS, ["\0ab\0"], "x\0ab\0", { found: [1], pieces: 2 });
    check(LINES, ["ab\r\n"], "xab\r\n", { found: [], pieces: 1 });
  });

  it("is not what was begun when nobody listens any more, and found once", () => {
    check(LINES, ["ab\r\n"], "ab", { found: [], pieces: 1 });
    check(LINES, ["ab\r\n", "ab\r\n"], "ab\r\nab\r\nab\r\n", { found: [1, 2], pieces: 3 });
  });
});

function check(
  delimiter: number,
  frames: readonly string[],
  cable: string,
  expected: { readonly found: readonly number[]; readonly pieces: number },
): void {
  const found: number[] = [];
  const hearing = new Hearing(delimiter, (n) => found.push(n));
  for (const [i, frame] of frames.entries()) hearing.expect(i + 1, Buffer.from(frame, "latin1"));
  hearing.hear(Buffer.from(cable, "latin1"));
  hearing.end();
  assert.deepEqual({ found, pieces: hearing.pieces }, expected, JSON.stringify(cable));
  assert.equal(hearing.intact, found.length);
}
