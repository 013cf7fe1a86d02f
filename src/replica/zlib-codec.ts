import { promisify } from "node:util";
import { deflateRaw, deflateRawSync, inflateRaw, inflateRawSync } from "node:zlib";
import type { Codec } from "./ports.ts";

const deflate = promisify<Buffer, { level: number }, Buffer>(deflateRaw);
const inflate = promisify<Buffer, { maxOutputLength: number }, Buffer>(inflateRaw);

/** The fastest level: a peer is near, and the processor is small. */
const LEVEL = 1;

/** To hand so little to a thread costs more than to do it; and threads may all be waiting for the disk. */
const SMALL_BYTES_MAX = 16 * 1024;

/** Raw DEFLATE (RFC 1951); what is not small, off the main thread. */
export const zlibCodec: Codec = {
  async pack(raw) {
    const isSmall = raw.length <= SMALL_BYTES_MAX;
    return isSmall ? deflateRawSync(raw, { level: LEVEL }) : deflate(raw, { level: LEVEL });
  },

  async unpack(packed, rawBytes) {
    const bounds = { maxOutputLength: Math.max(1, rawBytes) };
    const isSmall = Math.max(packed.length, rawBytes) <= SMALL_BYTES_MAX;
    const raw = isSmall ? inflateRawSync(packed, bounds) : await inflate(packed, bounds);
    if (raw.length !== rawBytes) throw new Error(`${raw.length} bytes instead of ${rawBytes}`);
    return raw;
  },
};
