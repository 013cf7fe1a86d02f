import { promisify } from "node:util";
import { deflateRaw, inflateRaw } from "node:zlib";
import type { Codec } from "./ports.ts";

const deflate = promisify<Buffer, { level: number }, Buffer>(deflateRaw);
const inflate = promisify<Buffer, { maxOutputLength: number }, Buffer>(inflateRaw);

/** The fastest level: a peer is near, and the processor is small. */
const LEVEL = 1;

/** Raw DEFLATE (RFC 1951), off the main thread. */
export const zlibCodec: Codec = {
  pack: (raw) => deflate(raw, { level: LEVEL }),

  async unpack(packed, rawBytes) {
    const raw = await inflate(packed, { maxOutputLength: Math.max(1, rawBytes) });
    if (raw.length !== rawBytes) throw new Error(`${raw.length} bytes instead of ${rawBytes}`);
    return raw;
  },
};
