/**
 * COBS, Cheshire and Baker, "Consistent Overhead Byte Stuffing", IEEE/ACM Transactions on Networking 7 (1999):
 * blocks of a code byte and code-1 bytes that are not zero; a code below 0xff stands for a zero after its block,
 * except after the last one.
 *
 * What stood between two zeros, decoded; null when a block is cut short.
 */
export function uncobs(raw: Uint8Array): Uint8Array | null {
  const bytes = new Uint8Array(raw.length);
  let length = 0;
  for (let i = 0; i < raw.length; ) {
    const code = raw[i] ?? 0;
    const next = i + code;
    if (code === 0 || next > raw.length) return null;
    bytes.set(raw.subarray(i + 1, next), length);
    length += code - 1;
    if (code !== 0xff && next < raw.length) bytes[length++] = 0;
    i = next;
  }
  return bytes.subarray(0, length);
}

/** Most bytes that the encoding of `length` bytes takes, without its delimiter. */
export function cobsBytesMax(length: number): number {
  return length + Math.floor(length / 254) + 1;
}
