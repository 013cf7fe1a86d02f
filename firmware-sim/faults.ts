import { misread } from "./misread.ts";
import type { Random } from "./random.ts";

/** What goes wrong: probabilities per frame, and how long it lasts. */
export interface Faults {
  /** A burst of 1 to 40 random bytes before the frame. */
  readonly noise: number;
  /** A byte of the frame is missing. */
  readonly drop: number;
  /** A byte of the frame comes twice. */
  readonly double: number;
  /** The frame ends somewhere in the middle. */
  readonly half: number;
  /** The board sends at a wrong rate for `mismatchMs`: the far end reads other bytes. */
  readonly baudMismatch: number;
  readonly mismatchMs: number;
  /** The line is held at one level for `stuckMs`: nothing of what is sent arrives. */
  readonly stuck: number;
  readonly stuckMs: number;
  /** The supply dips: the frame is cut, garbage follows, and the board boots. */
  readonly brownOut: number;
  /** The firmware hangs after the frame; its watchdog resets it after `watchdogMs`. */
  readonly hang: number;
  readonly watchdogMs: number;
  /** The supply is too weak to start: a brown-out, and 2 to 6 more as soon as it has booted. */
  readonly rebootLoop: number;
  /** The plug is pulled for `outageMs`. */
  readonly disconnect: number;
  readonly outageMs: number;
  /** The board's clock, and with it its rate, is wrong by up to so many parts in a million. */
  readonly driftPpm: number;
}

export const NO_FAULTS: Faults = {
  noise: 0,
  drop: 0,
  double: 0,
  half: 0,
  baudMismatch: 0,
  mismatchMs: 200,
  stuck: 0,
  stuckMs: 200,
  brownOut: 0,
  hang: 0,
  watchdogMs: 200,
  rebootLoop: 0,
  disconnect: 0,
  outageMs: 500,
  driftPpm: 0,
};

/** Why a frame did not arrive as the firmware meant it. */
export type Damage =
  | "drop"
  | "double"
  | "half"
  | "baud-mismatch"
  | "stuck"
  | "brown-out"
  | "reboot-loop"
  | "unplugged";

export interface Sent {
  readonly bytes: Uint8Array;
  /** The first of what was done to the frame itself; null when it is as the firmware meant it. */
  readonly damage: Damage | null;
  /** True when noise came before it. */
  readonly noisy: boolean;
}

/** A frame as a cable carries it that is neither stuck nor read at a wrong rate. */
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
  // A byte that comes twice and is then lost again, or is lost where the frame ends anyway, is no damage.
  const same = !noisy && Buffer.compare(bytes, frame) === 0;
  const damage = drop ? "drop" : double ? "double" : half ? "half" : null;
  return { bytes, damage: same ? null : damage, noisy };
}

/** Random bytes: what a line picks up, or a UART says while its supply comes back. */
export function noise(length: number, random: Random): Uint8Array {
  return Uint8Array.from({ length }, () => Math.floor(random() * 256));
}

/** Rates that a board may wake up with, as multiples of the right one. */
const WRONG_RATES = [0.5, 2, 0.25, 4 / 3];

/** A cable over time: now and then it is stuck, or the board sends at another rate. */
export class Cable {
  readonly #faults: Faults;
  readonly #random: Random;
  #stuckUntilMs = 0;
  #wrongUntilMs = 0;
  #wrongRate = 1;

  constructor(faults: Faults, random: Random) {
    this.#faults = faults;
    this.#random = random;
  }

  carry(frame: Uint8Array, nowMs: number): Sent {
    const sent = onTheCable(frame, this.#faults, this.#random);
    if (this.#happens(this.#faults.stuck)) this.#stuckUntilMs = nowMs + this.#faults.stuckMs;
    if (this.#happens(this.#faults.baudMismatch)) {
      this.#wrongUntilMs = nowMs + this.#faults.mismatchMs;
      this.#wrongRate = WRONG_RATES[Math.floor(this.#random() * WRONG_RATES.length)] ?? 2;
    }
    // A line at the level of a start bit is one zero to a UART, then nothing.
    if (nowMs < this.#stuckUntilMs) {
      return { ...sent, bytes: Uint8Array.of(0), damage: "stuck" };
    }
    if (nowMs >= this.#wrongUntilMs) return sent;
    return { ...sent, bytes: misread(sent.bytes, this.#wrongRate), damage: "baud-mismatch" };
  }

  #happens(probability: number): boolean {
    return probability > 0 && this.#random() < probability;
  }
}

function joined(...parts: readonly Uint8Array[]): Uint8Array {
  return Buffer.concat(parts);
}
