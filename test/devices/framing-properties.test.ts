import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import type { FramingConfig } from "../../src/config/schema.ts";
import { framerFor } from "../../src/devices/framing.ts";
import { seededRandom } from "../support/random.ts";
import { FRAMING, type FramingVector, listen, vectors } from "./framing-support.ts";

setFlagsFromString("--expose-gc");
const collect: () => void = runInNewContext("gc");

const SEED = Number(process.env["SEED"] ?? Math.floor(Math.random() * 2 ** 31));
const KINDS: readonly Partial<FramingConfig>[] = [
  { type: "lines", bytesMax: 40 },
  { type: "lines", bytesMax: 40, check: "crc16-ccitt" },
  { type: "delimiter", delimiter: "0d0a", bytesMax: 40 },
  { type: "delimiter", delimiter: "aabbaa", bytesMax: 40 },
  { type: "fixed", length: 12 },
  { type: "fixed", length: 12, check: "crc16-modbus" },
  { type: "length-prefix", prefixBytes: 1, bytesMax: 40 },
  { type: "length-prefix", prefixBytes: 2, endian: "little", bytesMax: 40, check: "crc32" },
  { type: "length-prefix", prefixBytes: 4, endian: "big", bytesMax: 40, check: "crc16-ccitt" },
  { type: "slip", bytesMax: 40 },
  { type: "slip", bytesMax: 40, check: "crc32" },
  { type: "cobs", bytesMax: 40 },
  { type: "cobs", bytesMax: 40, check: "crc16-ccitt" },
];

describe(`framers, seed ${SEED}`, () => {
  for (const config of KINDS) {
    const name = JSON.stringify(config);

    it(`says the same for any slicing of the same bytes: ${name}`, () => {
      const random = seededRandom(SEED);
      for (let round = 0; round < 60; round++) {
        const bytes = mostlyStructured(random, 400);
        const whole = sliced(config, bytes, () => bytes.length);
        const single = sliced(config, bytes, () => 1);
        const ragged = sliced(config, bytes, () => 1 + Math.floor(random() * 30));
        assert.deepEqual(single, whole, `seed ${SEED} round ${round}: one byte at a time`);
        assert.deepEqual(ragged, whole, `seed ${SEED} round ${round}: ragged`);
      }
    });

    it(`never gives out more than its bound: ${name}`, () => {
      const random = seededRandom(SEED + 1);
      for (let round = 0; round < 60; round++) {
        const bytes = mostlyStructured(random, 1000);
        for (const frame of sliced(config, bytes, () => 64)) {
          if (!frame.startsWith("!")) assert.ok(frame.length / 2 <= 40, `seed ${SEED}: ${frame}`);
        }
      }
    });
  }

  for (const vector of vectors<FramingVector>("framing")) {
    it(`finds the frames after noise and silence: ${vector.name}`, () => {
      const random = seededRandom(SEED + 2);
      for (let round = 0; round < 40; round++) {
        const { said, framer } = listen(vector.framing);
        framer.push(noise(random, Math.floor(random() * 3000)), 0);
        framer.push(Buffer.from(vector.wire, "hex"), FRAMING.timeoutMs);
        const last = said.slice(-vector.frames.length);
        assert.deepEqual(last, vector.frames, `seed ${SEED} round ${round}`);
      }
    });

    const resynchronises = (vector.framing.check ?? "none") !== "none";
    const delimited = !["fixed", "length-prefix"].includes(vector.framing.type ?? "lines");
    if (resynchronises || delimited) {
      it(`finds the next frame after noise without a pause: ${vector.name}`, () => {
        const random = seededRandom(SEED + 3);
        const wire = Buffer.from(vector.wire, "hex");
        for (let round = 0; round < 40; round++) {
          const { said, framer } = listen(vector.framing);
          // A delimited frame ends the noise with its delimiter; a checked one may hide in what looked like a longer frame.
          const again = delimited ? 2 : 2 + Math.ceil(1100 / wire.length);
          framer.push(noise(random, Math.floor(random() * 3000)), 0);
          for (let i = 0; i < again; i++) framer.push(wire, 1);
          const last = said.slice(-vector.frames.length);
          assert.deepEqual(last, vector.frames, `seed ${SEED} round ${round}`);
        }
      });
    }
  }
});

describe("framers under noise", () => {
  it("keep their memory constant over 50 MB each", { timeout: 300_000 }, async (test) => {
    const random = seededRandom(SEED + 4);
    const chunk = noise(random, 2 ** 20);
    for (const config of KINDS) {
      let said = 0;
      const framer = framerFor(
        { ...FRAMING, ...config },
        { frame: () => said++, refuse: () => said++ },
      );
      framer.push(chunk, 0);
      const before = await heldBytes();
      const began = performance.now();
      // Shifted by a prime each time, so that the noise does not repeat with the chunk.
      for (let i = 0; i < 50; i++) {
        const from = (i * 7919) % chunk.length;
        framer.push(chunk.subarray(from), 0);
        framer.push(chunk.subarray(0, from), 0);
      }
      const seconds = (performance.now() - began) / 1000;
      const grown = (await heldBytes()) - before;
      const kind = JSON.stringify(config);
      test.diagnostic(
        `${kind}: ${(50 / seconds).toFixed(0)} MB/s, ${said} said, grew ${grown} bytes`,
      );
      assert.ok(said > 0, kind);
      // Node 24 keeps up to a megabyte of what it compiles meanwhile; ten bytes a frame would be more than this.
      assert.ok(grown < 2 * 2 ** 20, `seed ${SEED} ${kind}: grew by ${grown} bytes`);
    }
  });
});

function sliced(config: Partial<FramingConfig>, bytes: Uint8Array, size: () => number): string[] {
  const { said, framer } = listen(config);
  for (let from = 0; from < bytes.length; ) {
    const to = from + size();
    framer.push(bytes.subarray(from, to), 5);
    from = to;
  }
  framer.expire(10_000);
  return said;
}

/** Noise with whole frames of all kinds and their delimiters in it, so that every branch is met. */
function mostlyStructured(random: () => number, length: number): Uint8Array {
  const known = vectors<FramingVector>("framing").map((vector) => Buffer.from(vector.wire, "hex"));
  const pieces = [
    Buffer.from("0d0a"),
    Buffer.from("0d0d0a", "hex"),
    Buffer.from("aabbaa", "hex"),
    ...known,
  ];
  const parts: Uint8Array[] = [];
  for (let bytes = 0; bytes < length; ) {
    const piece = pieces[Math.floor(random() * pieces.length)];
    const part =
      random() < 0.3 || piece === undefined ? noise(random, 1 + Math.floor(random() * 60)) : piece;
    parts.push(part);
    bytes += part.length;
  }
  return Buffer.concat(parts);
}

function noise(random: () => number, length: number): Uint8Array {
  return Uint8Array.from({ length }, () => Math.floor(random() * 256));
}

/** Bytes that are still reachable, after a full collection. */
async function heldBytes(): Promise<number> {
  // Buffers are freed between collections, off the main thread.
  for (let i = 0; i < 3; i++) {
    collect();
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  const { heapUsed, external, arrayBuffers } = process.memoryUsage();
  return heapUsed + external + arrayBuffers;
}
