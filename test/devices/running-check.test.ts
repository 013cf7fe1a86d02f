import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type Check, checkNamed, hasBinaryCheck } from "../../src/devices/check.ts";
import type { RunningCheck } from "../../src/devices/running-check.ts";
import { seededRandom } from "../support/random.ts";

const SEED = Number(process.env["SEED"] ?? Math.floor(Math.random() * 2 ** 31));
/** Beyond the longest frame that can be configured, so that each digit of a length counts. */
const BYTES = 70_000;

describe(`check values of pieces of a stream, seed ${SEED}`, () => {
  for (const name of ["crc16-modbus", "crc16-ccitt", "crc32", "xor", "sum"] as const) {
    it(`are right where those that are computed of the piece alone are: ${name}`, () => {
      const random = seededRandom(SEED);
      const check = checkNamed(name);
      assert.ok(check);
      const bytes = Uint8Array.from({ length: BYTES }, () => Math.floor(random() * 256));
      const frames = framesIn(bytes, check, random);
      const { begins, ends } = heard(bytes, check.running(), random);
      const right = frames.filter(({ from, to }) => {
        const isRight = hasBinaryCheck(check, bytes, from, to);
        assert.equal(begins[from] === ends[to], isRight, `seed ${SEED}: ${from} to ${to}`);
        return isRight;
      });
      const count = right.length;
      assert.ok(count > 5 && count < frames.length, `seed ${SEED}: ${count} of ${frames.length}`);
    });
  }
});

interface Piece {
  readonly from: number;
  readonly to: number;
}

/** Frames of all lengths one behind the other, most with their check value, some with another one; and pieces that are none. */
function framesIn(bytes: Uint8Array, check: Check, random: () => number): Piece[] {
  const frames: Piece[] = [];
  for (let from = 0; ; ) {
    const to = from + check.bytes + Math.ceil(2 ** (random() * Math.log2(BYTES / 8)));
    if (to > BYTES) break;
    put(check, bytes, from, to);
    if (random() < 0.3) bytes[from] = (bytes[from] ?? 0) ^ 1;
    frames.push({ from, to });
    from = to + Math.floor(random() * 3);
  }
  for (let round = 0; round < 500; round++) {
    const from = Math.floor(random() * (BYTES - 300));
    frames.push({ from, to: from + check.bytes + 1 + Math.floor(random() * 290) });
  }
  return frames;
}

/** The stream, taken in pieces. */
function heard(bytes: Uint8Array, running: RunningCheck, random: () => number) {
  const [begins, ends] = [new Int32Array(BYTES + 1), new Int32Array(BYTES + 1)];
  begins[0] = running.first;
  for (let from = 0; from < BYTES; ) {
    const to = Math.min(BYTES, from + 1 + Math.floor(random() * 5000));
    running.extend(begins, ends, bytes, from, to);
    from = to;
  }
  return { begins, ends };
}

/** Sets the check value of the piece at its end. */
function put(check: Check, bytes: Uint8Array, from: number, to: number): void {
  const at = to - check.bytes;
  const value = check.compute(bytes, from, at);
  for (let i = 0; i < check.bytes; i++) {
    const place = check.endian === "little" ? at + i : to - 1 - i;
    bytes[place] = (value >>> (8 * i)) & 0xff;
  }
}
