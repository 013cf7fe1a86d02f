import assert from "node:assert/strict";
import { afterEach, describe, it } from "node:test";
import type { Faults } from "../../firmware-sim/faults.ts";
import { type Field, startField } from "../../firmware-sim/field.ts";
import type { Observed, SensorSpec } from "../../firmware-sim/sensor.ts";
import type { Device, DeviceStatus } from "../../src/devices/device.ts";
import { deviceFor } from "../../src/devices/device-for.ts";
import { until } from "../support/until.ts";
import { boardDevice, numberOf, quiet } from "./boards-support.ts";
import { deviceTools } from "./device-tools.ts";
import { meterSlave, modbusDevice } from "./modbus-support.ts";

/**
 * Every board of firmware-sim under every fault, over real pseudo-terminals: what left the board whole is accepted, in order and once;
 * what did not, is not taken for it; and both sides' books balance with each other: every piece that came over the line is a frame that was
 * accepted or refused, and those that were accepted are those that a receiver finds whole.
 */
const SEED = Number(process.env["SEED"] ?? Math.floor(Math.random() * 2 ** 31));
const FRAMES = 150;
const BAUD_RATE = 230_400;

const FAULTS: Readonly<Record<string, Partial<Faults>>> = {
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

const running: { stop(): Promise<void> }[] = [];
afterEach(async () => {
  for (const each of running.splice(0).reverse()) await each.stop();
});

describe(`the books of every board, seed ${SEED}`, { timeout: 300_000 }, () => {
  for (const [name, faults] of Object.entries(FAULTS)) {
    it(`balance under ${name}`, async () => {
      const kinds = ["thermometer", "door-contact", "vibration", "weather-station"] as const;
      await Promise.all([
        ...kinds.map((kind) => speaking(kind, name, faults)),
        asked(name, faults),
      ]);
    });
  }
});

/** A board that speaks by itself. */
async function speaking(
  kind: "thermometer" | "door-contact" | "vibration" | "weather-station",
  fault: string,
  faults: Partial<Faults>,
): Promise<void> {
  const name = `${kind}-${fault.replaceAll(" ", "-")}`;
  const line = await connect(
    {
      kind,
      name,
      baudRate: BAUD_RATE,
      bootMs: 15,
      intervalMs: 2,
      count: FRAMES,
      powered: false,
      faults,
    },
    (port) => boardDevice(kind, name, port, BAUD_RATE),
  );
  const got: number[] = [];
  line.onMessage((payload) => {
    const n = numberOf(kind, payload);
    if (n !== null) got.push(n);
  });
  await line.until("open", () => line.device.status().state === "open");
  line.field.sensor(name).power(true);
  await line.until("all frames have left", () => line.departed() === FRAMES);
  await line.until("what left was heard", () => line.isQuiet());
  const replugged = () => line.field.counts()[name]?.reconnects ?? 0;
  // A hang-up is noticed within a second, whether bytes come or not.
  await line.until("open again", () => {
    const { state, counters } = line.device.status();
    return state === "open" && (replugged() === 0 || counters.reopened > 0);
  });
  const reconnects = replugged();
  const status = await line.end(name);
  const sent = line.field.counts()[name];
  const where = `seed ${SEED}, ${name}: ${JSON.stringify(status.counters)} of ${JSON.stringify(sent)}`;
  const intact = line.found();
  const isChecked = kind === "door-contact" || kind === "vibration";
  if (isChecked) assertRising(got, where);
  if ((faults.disconnect ?? 0) > 0) {
    // What was on its way when the plug was pulled is lost with the cable, which may be all: neither side can count it.
    assert.ok(got.length <= FRAMES, where);
    assert.equal(status.counters.reopened > 0, reconnects > 0, where);
    return;
  }
  const wanted = kind === "weather-station" ? intact.filter((n) => n % 4 !== 0) : intact;
  const accepted = new Set(got);
  // Without a check value the first frame after the opening is not trusted.
  const missing = wanted.filter((n) => !accepted.has(n)).filter((n) => isChecked || n !== 1);
  assert.deepEqual(missing, [], `${where}: intact frames that were not accepted`);
  // A machine that is busy may bark while the frame before still leaves.
  const cut = fault === "a watchdog" ? (sent?.damages["brown-out"] ?? 0) : 0;
  if (HARMLESS.has(fault)) assert.equal(intact.length, FRAMES - cut, where);
  if (!isChecked) return;
  const { frames, accepted: taken } = status.counters;
  assert.equal(frames, sent?.pieces, `${where}: each piece is accepted or refused`);
  // Of 65,536 damaged frames one passes a check value of 16 bits.
  const whole = new Set(intact);
  const strangers = taken - got.filter((n) => whole.has(n)).length;
  assert.ok(strangers <= 1, `${where}: accepted, and not found whole: ${strangers}`);
}

/** Energy meters, which are asked. */
async function asked(fault: string, faults: Partial<Faults>): Promise<void> {
  const name = `meters-${fault.replaceAll(" ", "-")}`;
  const spec = {
    kind: "energy-meter",
    name,
    baudRate: BAUD_RATE,
    bootMs: 15,
    units: 2,
    faults,
  } as const;
  const keys = ["intervalMs: 10", "timeoutMs: 150", "retries: 1"].join("\n      ");
  const modbus = ["framing: rtu", "silentFirstMs: 10", "silentMaxMs: 40"].join("\n    ");
  const line = await connect(spec, (port) =>
    modbusDevice(port, meterSlave(1, keys) + meterSlave(2, keys), modbus, `baudRate: ${BAUD_RATE}`),
  );
  const got = new Map<string, number[]>();
  line.onMessage((payload, topic) => {
    const n: unknown = JSON.parse(Buffer.from(payload).toString()).values.n;
    got.set(topic, [...(got.get(topic) ?? []), Number(n)]);
  });
  await line.until("answers", () => line.departed() >= FRAMES);
  // The end may cut the answer that is under way.
  const damaged = line.field.counts()[name]?.damaged;
  const status = await line.end(name);
  const where = `seed ${SEED}, ${name}: ${JSON.stringify(status.counters)} of ${JSON.stringify(line.field.counts())}`;
  for (const numbers of got.values()) assertRising(numbers, where);
  const requests = status.slaves?.reduce((sum, slave) => sum + slave.requests, 0) ?? 0;
  assert.equal(requests, status.counters.frames, where);
  const intact = line.found().length;
  const { accepted, refused } = status.counters;
  assert.ok(accepted <= intact + 1, `${where}: one damaged answer in 65,536 passes`);
  // One that came late, or with the plug, belongs to a request that was refused.
  const unheard = sumOf(refused) - (refused["malformed"] ?? 0);
  assert.ok(intact - accepted <= unheard, where);
  if (HARMLESS.has(fault)) assert.equal(damaged, 0, where);
  else assert.ok(sumOf(refused) > 0, where);
}

interface Line {
  readonly field: Field;
  readonly device: Device;
  /** Frames that have left, or never will. */
  departed(): number;
  /** Numbers of those that whoever is connected finds, in order. */
  found(): readonly number[];
  onMessage(listener: (payload: Uint8Array, topic: string) => void): void;
  isQuiet(): boolean;
  until(what: string, claim: () => boolean): Promise<void>;
  /** Stops both sides and compares each one's own books. */
  end(name: string): Promise<DeviceStatus>;
}

async function connect(
  spec: SensorSpec,
  configOf: (port: string) => Parameters<typeof deviceFor>[0],
): Promise<Line> {
  const seen: Observed[] = [];
  const field = await startField({
    sensors: [spec],
    seed: SEED,
    observe: (each) => seen.push(each),
  });
  running.push(field);
  let listener: (payload: Uint8Array, topic: string) => void = () => {};
  const made = deviceFor(configOf(field.sensor(spec.name).port ?? ""), {
    ...deviceTools(({ payload, topic }) => listener(payload, topic)),
    limits: { backoffFirstMs: 10, backoffMaxMs: 50 },
  });
  running.push(made);
  await made.start(new AbortController().signal);
  return {
    field,
    device: made,
    departed: () => seen.filter(({ is }) => is !== "found").length,
    found: () => seen.filter(({ is }) => is === "found").map(({ n }) => n),
    onMessage: (by) => {
      listener = by;
    },
    isQuiet: quiet(made),
    async until(what, claim) {
      try {
        await until(what, claim, 60_000);
      } catch (error) {
        const both = { seed: SEED, device: made.status(), field: field.counts() };
        throw new Error(JSON.stringify(both), { cause: error });
      }
    },
    async end(name) {
      await field.stop();
      await made.stop();
      const status = made.status();
      const { frames, accepted, refused, inflight } = status.counters;
      const counts = field.counts()[name];
      const where = `seed ${SEED}: ${JSON.stringify(status.counters)} of ${JSON.stringify(counts)}`;
      assert.equal(frames, accepted + sumOf(refused), where);
      assert.equal(inflight, 0, where);
      assert.ok(counts);
      assert.equal(counts.damaged, sumOf(counts.damages), where);
      assert.equal(counts.damaged, seen.filter(({ is }) => is === "lost").length, where);
      return status;
    },
  };
}

function sumOf(counts: Readonly<Record<string, number>>): number {
  return Object.values(counts).reduce((sum, count) => sum + count, 0);
}

function assertRising(numbers: readonly number[], where: string): void {
  const falls = numbers.filter((n, i) => i > 0 && n <= (numbers[i - 1] ?? 0));
  assert.deepEqual(falls, [], where);
}
