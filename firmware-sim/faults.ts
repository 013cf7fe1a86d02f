import type { Random } from "./random.ts";

/** What goes wrong, as probabilities per frame. */
export interface Faults {
  /** A burst of 1 to 40 random bytes before the frame. */
  readonly noise: number;
  /** A byte of the frame is missing. */
  readonly drop: number;
  /** A byte of the frame comes twice. */
  readonly double: number;
  /** The frame ends somewhere in the middle. */
  readonly half: number;
  /** The supply dips: the frame is cut, garbage follows, and the board boots. */
  readonly brownOut: number;
  /** The plug is pulled for `outageMs`. */
  readonly disconnect: number;
  readonly outageMs: number;
}

export const NO_FAULTS: Faults = {
  noise: 0,
  drop: 0,
  double: 0,
  half: 0,
  brownOut: 0,
  disconnect: 0,
  outageMs: 500,
};

export interface Sent {
  readonly bytes: Uint8Array;
  /** True when the frame itself is not as the firmware meant it. */
  readonly damaged: boolean;
  /** True when noise came before it. */
  readonly noisy: boolean;
}

/** A frame as the cable carries it. */
export function onTheCable(frame: Uint8Array, faults: Faults, random: Random): Sent {
  let bytes = frame;
  const at = Math.floor(random() * frame.length);
  const drop = random() < faults.drop;
  const double = random() < faults.double;
  const half = random() < faults.half;
  const noisy = random() < faults.noise;
  if (drop) bytes = joined(bytes.subarray(0, at), bytes.subarray(at + 1));
  if (double) bytes = joined(bytes.subarray(0, at + 1), bytes.subarray(at));
  if (half) bytes = bytes.subarray(0, Math.max(1, at));
  if (noisy) bytes = joined(noise(1 + Math.floor(random() * 40), random), bytes);
  return { bytes, damaged: drop || double || half, noisy };
}

/** Random bytes: what a line picks up, or a UART says while its supply comes back. */
export function noise(length: number, random: Random): Uint8Array {
  return Uint8Array.from({ length }, () => Math.floor(random() * 256));
}

function joined(...parts: readonly Uint8Array[]): Uint8Array {
  return Buffer.concat(parts);
}
