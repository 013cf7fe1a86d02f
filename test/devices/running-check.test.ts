import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { checkNamed } from "../../src/devices/check.ts";
import { seededRandom } from "../support/random.ts";

const SEED = Number(process.env["SEED"] ?? Math.floor(Math.random() * 2 ** 31));
/** Beyond the longest frame that can be configured, so that each digit of a length counts. */
const BYTES = 70_000;

describe(`check values of pieces of a stream, seed ${SEED}`, () => {
  for (const name of ["crc16-modbus", "crc16-ccitt", "crc32", "xor", "sum"] as const) {
    it(`are those that are computed of the piece alone: ${name}`, () => {
      const random = seededRandom(SEED);
      const bytes = Uint8Array.from({ length: BYTES }, () => Math.floor(random() * 256));
      const check = checkNamed(name);
      assert.ok(check);
      const running = check.running(BYTES);
      const states = new Int32Array(BYTES + 1);
      for (let from = 0; from < BYTES; ) {
        const to = Math.min(BYTES, from + 1 + Math.floor(random() * 5000));
        running.extend(states, bytes, from, to);
        from = to;
      }
      for (let round = 0; round < 500; round++) {
        // Short pieces and long ones alike.
        const length = Math.floor(2 ** (random() * Math.log2(BYTES)));
        const from = Math.floor(random() * (BYTES - length));
        const to = from + length;
        const found = running.between(states[from] ?? 0, states[to] ?? 0, length);
        assert.equal(found >>> 0, check.compute(bytes, from, to), `seed ${SEED}: ${from} to ${to}`);
      }
    });
  }
});
