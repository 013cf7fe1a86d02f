/** Bits of a byte on the line, 8N1: a start bit of 0, eight bits from the lowest, a stop bit of 1. */
const BITS = 10;
/** A UART looks at the line so often a bit while it waits for a start. */
const OVERSAMPLING = 16;

/**
 * What a UART reads of bytes that were sent at another rate: it waits for the line to fall, then looks at the middle of each bit by
 * its own clock. What should be the stop bit and is none is taken all the same, as Linux does unless told otherwise.
 *
 * @param rate of the sender, as a multiple of the receiver's
 */
export function misread(sent: Uint8Array, rate: number): Uint8Array {
  const endBits = (sent.length * BITS) / rate;
  const level = (time: number): number => {
    const bit = Math.floor(time * rate);
    if (bit < 0 || bit >= sent.length * BITS) return 1;
    const place = bit % BITS;
    if (place === 0) return 0;
    return place === BITS - 1 ? 1 : ((sent[Math.floor(bit / BITS)] ?? 0) >> (place - 1)) & 1;
  };
  const read: number[] = [];
  for (let time = 0; time < endBits; ) {
    const start = nextFall(level, time, endBits, rate);
    if (start === null) break;
    let byte = 0;
    for (let bit = 0; bit < 8; bit++) byte |= level(start + 1.5 + bit) << bit;
    read.push(byte);
    time = start + BITS - 0.5;
    // A line that is still low where the stop bit was is no new start bit until it has been high.
    while (time < endBits && level(time) === 0) time += 1 / OVERSAMPLING / Math.max(1, rate);
  }
  return Uint8Array.from(read);
}

function nextFall(
  level: (time: number) => number,
  from: number,
  end: number,
  rate: number,
): number | null {
  const step = 1 / OVERSAMPLING / Math.max(1, rate);
  for (let time = from; time < end; time += step) {
    if (level(time) === 0) return time;
  }
  return null;
}
