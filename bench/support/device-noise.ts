import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import type { FramingConfig } from "../../src/config/schema.ts";
import { framerFor } from "../../src/devices/framing.ts";

const HOUR_BYTES = 11_520 * 3600;
const CHUNK_BYTES = 4096;
const BOUNDS = { bytesMax: 1024, timeoutMs: 1000, check: "none" } as const;

const KINDS: readonly Partial<FramingConfig>[] = [
  { type: "lines" },
  { type: "lines", check: "crc16-ccitt" },
  { type: "delimiter", delimiter: "0d0a" },
  { type: "fixed", length: 12 },
  { type: "fixed", length: 12, check: "crc16-modbus" },
  { type: "fixed", length: 1024, check: "crc32" },
  { type: "length-prefix", prefixBytes: 1 },
  { type: "length-prefix", prefixBytes: 1, check: "xor" },
  { type: "length-prefix", prefixBytes: 1, check: "crc16-ccitt" },
  { type: "length-prefix", prefixBytes: 1, check: "crc32" },
  { type: "length-prefix", prefixBytes: 2, endian: "big", check: "crc16-modbus" },
  { type: "length-prefix", prefixBytes: 4, endian: "little", check: "sum" },
  { type: "slip", check: "crc32" },
  { type: "cobs", check: "crc16-ccitt" },
];

export interface NoiseHeard {
  readonly name: string;
  /** Of processor time. */
  readonly bytesPerSecond: number;
  readonly grownBytes: number;
}

/** Each framer hears what an hour of noise at 115,200 baud is, as fast as it can, in pieces as a port gives them. */
export function* hearNoise(): Generator<NoiseHeard> {
  setFlagsFromString("--expose-gc");
  const collect: () => void = runInNewContext("gc");
  const held = () => {
    for (let i = 0; i < 3; i++) collect();
    const { heapUsed, arrayBuffers } = process.memoryUsage();
    return heapUsed + arrayBuffers;
  };
  // A prime, so that pieces of it do not repeat; xorshift, which is fast and has no period that matters here.
  const noise = new Uint8Array(1_048_573);
  let state = 2_463_534_242;
  for (let i = 0; i < noise.length; i++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    noise[i] = state & 0xff;
  }
  for (const kind of KINDS) {
    let said = 0;
    const sink = { frame: () => said++, refuse: () => said++ };
    const framer = framerFor({ ...BOUNDS, ...kind } as FramingConfig, sink);
    const push = (bytes: number) => {
      for (let at = 0, heard = 0; heard < bytes; heard += CHUNK_BYTES) {
        framer.push(noise.subarray(at, at + CHUNK_BYTES), 0);
        at = (at + CHUNK_BYTES) % (noise.length - CHUNK_BYTES);
      }
    };
    // What the machine compiles meanwhile is no memory of the framer's.
    push(HOUR_BYTES / 2);
    const before = held();
    const began = process.cpuUsage();
    push(HOUR_BYTES);
    const { user, system } = process.cpuUsage(began);
    const grownBytes = held() - before;
    const { type, ...rest } = kind;
    const name = [type, ...Object.values(rest)].join(" ");
    yield { name, bytesPerSecond: (HOUR_BYTES * 1e6) / (user + system), grownBytes };
  }
}
