/** How a frame that goes down to the device stands on the wire: the same as one that comes up. docs/frame.md. */

/** SLIP, RFC 1055: escaped, with an END before it, which ends noise, and one behind. */
export function slip(content: Uint8Array): Uint8Array {
  const bytes: number[] = [0xc0];
  for (const byte of content) {
    if (byte === 0xc0) bytes.push(0xdb, 0xdc);
    else if (byte === 0xdb) bytes.push(0xdb, 0xdd);
    else bytes.push(byte);
  }
  bytes.push(0xc0);
  return Uint8Array.from(bytes);
}

/** COBS, Cheshire & Baker (1999): each run of up to 254 bytes without a zero behind its length, between two zeros. */
export function cobs(content: Uint8Array): Uint8Array {
  const bytes: number[] = [0];
  let at = 0;
  for (;;) {
    const end = Math.min(nextZero(content, at), at + 254);
    bytes.push(end - at + 1, ...content.subarray(at, end));
    if (end === content.length) break;
    at = end - at === 254 ? end : end + 1;
  }
  bytes.push(0);
  return Uint8Array.from(bytes);
}

function nextZero(content: Uint8Array, from: number): number {
  const hit = content.indexOf(0, from);
  return hit === -1 ? content.length : hit;
}
