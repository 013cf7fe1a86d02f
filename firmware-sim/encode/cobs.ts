/** COBS, byte by byte with one code byte filled in afterwards, as small firmware does it. Without the delimiter. */
export function cobs(bytes: Uint8Array): Uint8Array {
  const out: number[] = [0];
  let codeAt = 0;
  let code = 1;
  for (let i = 0; i < bytes.length; i++) {
    const byte = bytes[i] ?? 0;
    if (byte !== 0) {
      out.push(byte);
      code++;
    }
    const full = code === 0xff;
    if (byte === 0 || (full && i < bytes.length - 1)) {
      out[codeAt] = code;
      codeAt = out.length;
      out.push(0);
      code = 1;
    }
  }
  out[codeAt] = code;
  return Uint8Array.from(out);
}
