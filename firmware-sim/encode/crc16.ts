/** CRC-16/CCITT-FALSE, bit by bit, as small firmware computes it. docs/frame.md has the parameters. */
export function crc16CcittFalse(bytes: Uint8Array): number {
  let crc = 0xffff;
  for (const byte of bytes) {
    for (let bit = 7; bit >= 0; bit--) {
      const feedback = ((crc >> 15) & 1) ^ ((byte >> bit) & 1);
      crc = (crc << 1) & 0xffff;
      if (feedback === 1) crc ^= 0x1021;
    }
  }
  return crc;
}
