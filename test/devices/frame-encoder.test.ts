import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { FramingConfig } from "../../src/config/schema.ts";
import { encodeFrame } from "../../src/devices/frame-encoder.ts";
import { seededRandom } from "../support/random.ts";
import { FRAMING, listen } from "./framing-support.ts";

const SEED = Number(process.env["SEED"] ?? Math.floor(Math.random() * 2 ** 31));
const KINDS: readonly Partial<FramingConfig>[] = [
  { type: "lines" },
  { type: "delimiter", delimiter: "0d0a" },
  { type: "slip" },
  { type: "cobs" },
  { type: "length-prefix", prefixBytes: 1, offset: 1 },
  { type: "length-prefix", prefixBytes: 2, endian: "little", offset: -2 },
  { type: "length-prefix", prefixBytes: 4, endian: "big" },
];

describe(`a frame that goes down, seed ${SEED}`, () => {
  for (const kind of KINDS) {
    for (const check of ["none", "crc16-modbus", "crc16-ccitt", "crc32", "xor", "sum"] as const) {
      it(`is what a framer gives back: ${JSON.stringify(kind)} ${check}`, () => {
        const random = seededRandom(SEED);
        for (let round = 0; round < 100; round++) {
          const config = { ...FRAMING, ...kind, check };
          const content = contentOf(random, kind.type === "lines" || kind.type === "delimiter");
          const wire = encodeFrame(content, config);
          assert.ok(typeof wire !== "string", `seed ${SEED} round ${round}: ${wire}`);
          const { said, framer } = listen(config);
          framer.push(wire, 0);
          assert.deepEqual(said, [hex(content)], `seed ${SEED} round ${round}`);
        }
      });
    }
  }

  it("ends a run of 254 bytes in COBS as the paper does", () => {
    const run = Uint8Array.from({ length: 254 }, () => 7);
    const bytes = (...content: number[]) =>
      hex(encodeFrame(Uint8Array.from(content), { ...FRAMING, type: "cobs" }) as Uint8Array);
    assert.equal(bytes(...run), `00ff${"07".repeat(254)}00`);
    assert.equal(bytes(...run, 0), `00ff${"07".repeat(254)}010100`);
    assert.equal(bytes(...run, 9), `00ff${"07".repeat(254)}020900`);
    assert.equal(bytes(0), "00010100");
  });

  it("is refused where it could not be told from another", () => {
    for (const [content, kind, refusal] of [
      ["", {}, "empty"],
      ["00".repeat(1025), {}, "too-long"],
      ["610a62", {}, "delimiter-within"],
      ["610d0a62", { type: "delimiter", delimiter: "0d0a" }, "delimiter-within"],
      ["6162", { type: "delimiter", delimiter: "616261" }, "delimiter-within"],
      ["6162", { type: "delimiter", delimiter: "61626162" }, "delimiter-within"],
      ["6f", { type: "delimiter", delimiter: "36", check: "sum" }, "delimiter-within"],
      ["6162", { type: "fixed", length: 5, check: "crc16-modbus" }, "wrong-length"],
      ["61".repeat(256), { type: "length-prefix", prefixBytes: 1 }, "too-long"],
    ] as const) {
      const config = { ...FRAMING, ...kind };
      assert.equal(encodeFrame(Buffer.from(content, "hex"), config), refusal, content.slice(0, 8));
    }
  });
});

/** Up to 600 bytes in which zeros, escapes and ENDs are frequent; text without line ends where it must be. */
function contentOf(random: () => number, isText: boolean): Uint8Array {
  const special = [0, 0xc0, 0xdb, 0xff];
  return Uint8Array.from({ length: 1 + Math.floor(random() * (isText ? 100 : 240)) }, () => {
    if (isText) return 0x20 + Math.floor(random() * 0x5f);
    return random() < 0.1 ? (special[Math.floor(random() * 4)] ?? 0) : Math.floor(random() * 256);
  });
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}
