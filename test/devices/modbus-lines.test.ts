import assert from "node:assert/strict";
import { afterEach, describe, it } from "node:test";
import { type Field, startField } from "../../firmware-sim/field.ts";
import type { MeterSpec } from "../../firmware-sim/sensor.ts";
import type { Device } from "../../src/devices/device.ts";
import { deviceFor } from "../../src/devices/device-for.ts";
import { until } from "../support/until.ts";
import { deviceTools } from "./device-tools.ts";
import { meterSlave, modbusDevice } from "./modbus-support.ts";

const SEED = Number(process.env["SEED"] ?? Math.floor(Math.random() * 2 ** 31));
const KEYS = "intervalMs: 20";

const running: { stop(): Promise<void> }[] = [];
afterEach(async () => {
  for (const each of running.splice(0).reverse()) await each.stop();
});

describe(`energy meters on real lines, seed ${SEED}`, { timeout: 120_000 }, () => {
  for (const transport of ["pty", "tcp", "modbus-tcp"] as const) {
    it(`are read in order over ${transport}`, async () => {
      const line = await connect({ transport, units: 3 });
      await line.until("50 readings each", () => line.least() >= 50);
      for (const numbers of line.numbers.values()) {
        const steps = numbers.slice(1).map((n, i) => n - (numbers[i] ?? 0));
        assert.ok(
          steps.every((step) => step === 1),
          `seed ${SEED}: ${numbers.join(" ")}`,
        );
      }
      await line.end(1, 2, 3);
    });

    it(`are read again after their cable was pulled, over ${transport}`, async () => {
      const line = await connect({ transport, units: 2 });
      await line.until("readings", () => line.least() >= 5);
      await line.field.sensor("s").pull();
      await line.until("notice", () => line.device.status().state !== "open");
      const before = line.least();
      await line.field.sensor("s").plugIn();
      await line.until("more readings", () => line.least() >= before + 5);
      assert.equal(line.device.status().counters.reopened, 1);
      await line.end(1, 2);
    });
  }

  it("are read beside one that is silent, on a pseudo-terminal", async () => {
    const line = await connect({ transport: "pty", units: 3, silent: [2] });
    await line.until("100 readings", () => Math.min(line.count(1), line.count(3)) >= 100);
    const [, silent] = line.device.status().slaves ?? [];
    assert.deepEqual([silent?.online, silent?.answers], [false, 0]);
    assert.ok(
      (silent?.requests ?? 0) >= 1 && (silent?.requests ?? 0) <= 40,
      JSON.stringify(silent),
    );
    await line.end(1, 3);
  });

  it("lose only what noise damaged, and the books balance", async () => {
    const faults = { noise: 0.1, drop: 0.05, double: 0.05, half: 0.05 };
    const line = await connect({ transport: "pty", units: 2, faults });
    // A damaged answer costs a slave its time-out, and one may have many of them.
    const all = () => line.count(1) + line.count(2);
    await line.until("150 readings", () => all() >= 150 && line.least() >= 30);
    for (const numbers of line.numbers.values()) {
      const falls = numbers.filter((n, i) => i > 0 && n <= (numbers[i - 1] ?? 0));
      assert.deepEqual(falls, [], `seed ${SEED}`);
    }
    const { counters } = line.device.status();
    const lost = (counters.refused["checksum"] ?? 0) + (counters.refused["no-answer"] ?? 0);
    assert.ok(lost > 0, `seed ${SEED}: ${JSON.stringify(counters)}`);
    await line.end(1, 2);
  });
});

interface Line {
  readonly field: Field;
  readonly device: Device;
  /** Running numbers that each slave's answers carry, in order. */
  readonly numbers: ReadonlyMap<string, number[]>;
  count(unit: number): number;
  least(): number;
  until(what: string, claim: () => boolean): Promise<void>;
  /** Stops both sides and compares the books: each request has an end, each answer of those slaves was published. */
  end(...units: number[]): Promise<void>;
}

async function connect(spec: Omit<MeterSpec, "name" | "kind">): Promise<Line> {
  const baudRate = 115_200;
  const sensor: MeterSpec = { baudRate, ...spec, kind: "energy-meter", name: "s" };
  const field = await startField({ sensors: [sensor], seed: SEED });
  running.push(field);
  const port = field.sensor("s").port ?? "";
  const units = Array.from({ length: spec.units ?? 1 }, (_, i) => i + 1);
  const numbers = new Map<string, number[]>(units.map((unit) => [`m/m${unit}`, []]));
  const framing = spec.transport === "modbus-tcp" ? "framing: tcp" : "framing: rtu";
  // Noise makes a slave look silent now and then: it is asked again soon, and not after ten seconds and more.
  const waits = spec.faults === undefined ? "" : "\n    silentFirstMs: 10\n    silentMaxMs: 40";
  const slaves = units.map((unit) => meterSlave(unit, KEYS)).join("");
  const made = deviceFor(modbusDevice(port, slaves, framing + waits, `baudRate: ${baudRate}`), {
    ...deviceTools(({ topic, payload }) => {
      numbers.get(topic)?.push(JSON.parse(Buffer.from(payload).toString()).values.n);
    }),
    limits: { backoffFirstMs: 20, backoffMaxMs: 200 },
  });
  running.push(made);
  await made.start(new AbortController().signal);
  return {
    field,
    device: made,
    numbers,
    count: (unit) => numbers.get(`m/m${unit}`)?.length ?? 0,
    least: () => Math.min(...[...numbers.values()].map(({ length }) => length)),
    async until(what, claim) {
      try {
        await until(what, claim, 30_000);
      } catch (error) {
        const seen = { seed: SEED, device: made.status(), field: field.counts() };
        throw new Error(JSON.stringify(seen), { cause: error });
      }
    },
    async end(...answering) {
      await made.stop();
      const { counters, slaves: each = [] } = made.status();
      const refused = Object.values(counters.refused).reduce((sum, count) => sum + count, 0);
      const seen = `seed ${SEED}: ${JSON.stringify(made.status())}`;
      assert.equal(counters.frames, counters.accepted + refused, seen);
      assert.equal(counters.inflight, 0);
      assert.equal(
        each.reduce((sum, { requests }) => sum + requests, 0),
        counters.frames,
        seen,
      );
      for (const slave of each.filter(({ unit }) => answering.includes(unit))) {
        assert.equal(slave.answers, numbers.get(`m/${slave.name}`)?.length, seen);
      }
    },
  };
}
