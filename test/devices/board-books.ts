import assert from "node:assert/strict";
import type { Faults } from "../../firmware-sim/faults.ts";
import type { SensorCounts } from "../../firmware-sim/sensor.ts";
import type { DeviceStatus } from "../../src/devices/device.ts";

/** Boards that speak by themselves. */
export const SPEAKING = ["thermometer", "door-contact", "vibration", "weather-station"] as const;
type SpeakingKind = (typeof SPEAKING)[number];

/** Every fault of firmware-sim, so often that it happens some times in some hundred frames. */
export const FAULTS: Readonly<Record<string, Partial<Faults>>> = {
  nothing: {},
  noise: { noise: 0.15 },
  "dropped bytes": { drop: 0.1 },
  "doubled bytes": { double: 0.1 },
  "half frames": { half: 0.1 },
  "a wrong rate": { baudMismatch: 0.04, mismatchMs: 25 },
  "a stuck line": { stuck: 0.04, stuckMs: 25 },
  "brown-outs": { brownOut: 0.04 },
  "a watchdog": { hang: 0.04, watchdogMs: 25 },
  "reboot loops": { rebootLoop: 0.02 },
  "a pulled plug": { disconnect: 0.04, outageMs: 60 },
  "a clock that drifts": { driftPpm: 20_000 },
};
/** Those that leave every frame as it is. */
const HARMLESS = new Set(["nothing", "a watchdog", "a clock that drifts"]);

/** What both sides say of a board. */
interface BoardBooks {
  /** Running numbers of the messages that came of it, in order. */
  readonly got: readonly number[];
  /** Those of the frames that whoever is connected finds whole. */
  readonly intact: readonly number[];
  /** Of the board, at the end. */
  readonly counts: SensorCounts | undefined;
  /** Of the gateway, at the end. */
  readonly status: DeviceStatus;
  /** What a failure prints: seed and name. */
  readonly where: string;
}

/**
 * A board that speaks by itself, and has sent `frames`: what left it whole was accepted, in order and once; what did not, was not taken for
 * it; and every piece that came over the line is a frame that was accepted or refused.
 */
export function checkSpeaking(
  kind: SpeakingKind,
  fault: string,
  frames: number,
  books: BoardBooks,
): void {
  const { got, intact, counts, status } = books;
  checkBooks(books);
  const { counters } = status;
  const where = whereOf(books);
  const isChecked = kind === "door-contact" || kind === "vibration";
  if (isChecked) assertRising(got, where);
  if (fault === "a pulled plug") {
    // What was on its way when the plug was pulled is lost with the cable, which may be all: neither side can count it.
    assert.ok(got.length <= frames, where);
    assert.equal(counters.reopened > 0, (counts?.reconnects ?? 0) > 0, where);
    return;
  }
  const wanted = kind === "weather-station" ? intact.filter((n) => n % 4 !== 0) : intact;
  const accepted = new Set(got);
  // Without a check value the first frame after the opening is not trusted.
  const missing = wanted.filter((n) => !accepted.has(n)).filter((n) => isChecked || n !== 1);
  assert.deepEqual(missing, [], `${where}: intact frames that were not accepted`);
  // A machine that is busy may bark while the frame before still leaves.
  const cut = fault === "a watchdog" ? (counts?.damages["brown-out"] ?? 0) : 0;
  if (HARMLESS.has(fault)) assert.equal(intact.length, frames - cut, where);
  if (!isChecked) return;
  assert.equal(counters.frames, counts?.pieces, `${where}: each piece is accepted or refused`);
  // Of 65,536 damaged frames one passes a check value of 16 bits.
  const whole = new Set(intact);
  const strangers = counters.accepted - got.filter((n) => whole.has(n)).length;
  assert.ok(strangers <= 1, `${where}: accepted, and not found whole: ${strangers}`);
}

/** A line of energy meters, which are asked: every request was accepted or refused, and whole answers were accepted unless they came too late. */
export function checkAsked(
  fault: string,
  numbers: Iterable<readonly number[]>,
  books: Omit<BoardBooks, "got">,
  damaged: number,
): void {
  const { intact, status } = books;
  checkBooks(books);
  const where = whereOf(books);
  for (const each of numbers) assertRising(each, where);
  const requests = status.slaves?.reduce((sum, slave) => sum + slave.requests, 0) ?? 0;
  assert.equal(requests, status.counters.frames, where);
  const { accepted, refused } = status.counters;
  assert.ok(accepted <= intact.length + 1, `${where}: one damaged answer in 65,536 passes`);
  // One that came late, or with the plug, belongs to a request that was refused.
  const unheard = sumOf(refused) - (refused["malformed"] ?? 0);
  assert.ok(intact.length - accepted <= unheard, where);
  if (HARMLESS.has(fault)) assert.equal(damaged, 0, where);
  else assert.ok(sumOf(refused) > 0, where);
}

/** Each side's own books. */
function checkBooks(books: Omit<BoardBooks, "got">): void {
  const { status, counts } = books;
  const { frames, accepted, refused, inflight } = status.counters;
  const where = whereOf(books);
  assert.equal(frames, accepted + sumOf(refused), where);
  assert.equal(inflight, 0, where);
  assert.ok(counts, where);
  assert.equal(counts.damaged, sumOf(counts.damages), where);
}

function whereOf({ where, status, counts }: Omit<BoardBooks, "got">): string {
  return `${where}: ${JSON.stringify(status.counters)} of ${JSON.stringify(counts)}`;
}

function sumOf(counts: Readonly<Record<string, number>>): number {
  return Object.values(counts).reduce((sum, count) => sum + count, 0);
}

function assertRising(numbers: readonly number[], where: string): void {
  const falls = numbers.filter((n, i) => i > 0 && n <= (numbers[i - 1] ?? 0));
  assert.deepEqual(falls, [], where);
}
