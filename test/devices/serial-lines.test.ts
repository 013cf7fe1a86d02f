import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, before, describe, it } from "node:test";
import { type Field, startField } from "../../firmware-sim/field.ts";
import type { SensorSpec, SerialSpec } from "../../firmware-sim/sensor.ts";
import type { Device, DeviceLimits } from "../../src/devices/device.ts";
import { deviceFor } from "../../src/devices/device-for.ts";
import { until } from "../support/until.ts";
import { BOARDS, boardDevice, numberOf, quiet, VIBRATION_BYTES } from "./boards-support.ts";
import { deviceTools } from "./device-tools.ts";

const SEED = Number(process.env["SEED"] ?? Math.floor(Math.random() * 2 ** 31));
let directory = "";
before(async () => {
  directory = await mkdtemp(join(tmpdir(), "lines-"));
});
after(() => rm(directory, { recursive: true, force: true }));

const lines: Line[] = [];
/** Also what a test that failed has left running: otherwise the process would not end. */
afterEach(async () => {
  for (const { device, field } of lines.splice(0)) {
    void device.stop(); // A sink of the test may never answer.
    await field.stop();
  }
});

describe(`devices on real serial lines, seed ${SEED}`, { timeout: 240_000 }, () => {
  for (const kind of ["thermometer", "door-contact", "vibration"] as const) {
    for (const transport of ["pty", "tcp"] as const) {
      it(`take 2,000 frames of a ${kind} over ${transport} in order`, async () => {
        const line = await connect({ kind, transport, count: 2000, intervalMs: 0, powered: false });
        await line.until("open", () => line.device.status().state === "open");
        line.field.sensor("s").power(true);
        await line.until("the last frame", () => line.numbers.at(-1) === 2000);
        // Where nothing but the delimiter tells a whole frame, the first one after the opening is not trusted.
        const hunts = BOARDS[kind]?.framing.check === "none";
        assert.deepEqual(line.numbers, counting(2000).slice(hunts ? 1 : 0));
        const { counters } = await line.end();
        assert.deepEqual(
          [counters.frames, counters.accepted, counters.refused],
          hunts ? [2000, 1999, { unsynchronised: 1 }] : [2000, 2000, {}],
          `seed ${SEED}`,
        );
      });

      it(`lose a ${kind} over ${transport} with its cable, and take it up again`, async () => {
        const line = await connect({ kind, transport, intervalMs: 0 });
        await line.until("500 frames", () => line.numbers.length >= 500);
        await line.field.sensor("s").pull();
        await line.until("notice", () => line.device.status().state !== "open");
        const pulledAt = line.numbers.length;
        await line.until("a reason", () => {
          const { reason } = line.device.status();
          return reason === "no-such-port" || reason === "connection-refused";
        });
        await line.field.sensor("s").plugIn();
        await line.until("500 more", () => line.numbers.length >= pulledAt + 500);
        const gaps = line.numbers.filter((n, i) => i > 0 && n !== (line.numbers[i - 1] ?? 0) + 1);
        assert.equal(gaps.length, 1, `seed ${SEED}: gaps before ${gaps.join(", ")}`);
        assertRising(line.numbers);
        const { counters } = await line.end();
        assert.equal(counters.reopened, 1);
        // Each opening and each closing may meet a frame half.
        const refused = Object.keys(counters.refused);
        assert.deepEqual(
          refused.filter((reason) => !HALF.has(reason)),
          [],
          `seed ${SEED}`,
        );
      });
    }
  }

  it("accept every frame of a vibration sensor that noise and faults left whole", async () => {
    const whole = new Set<number>();
    const faults = { noise: 0.1, drop: 0.05, double: 0.05, half: 0.05 };
    const line = await connect(
      { kind: "vibration", transport: "pty", count: 2000, intervalMs: 0, powered: false, faults },
      { observe: (n, damaged) => damaged || whole.add(n) },
    );
    await line.until("open", () => line.device.status().state === "open");
    line.field.sensor("s").power(true);
    await line.until(
      "the last whole frame",
      () => line.numbers.at(-1) === Math.max(...whole) && line.sampled() === 2000,
    );
    const got = new Set(line.numbers);
    assert.deepEqual(
      [...whole].filter((n) => !got.has(n)),
      [],
      `seed ${SEED}: whole frames lost`,
    );
    assertRising(line.numbers);
    // One noise in 65,536 passes a CRC of 16 bits.
    const strangers = line.payloads.filter((bytes) => bytes.length !== VIBRATION_BYTES);
    assert.ok(strangers.length <= 1, `seed ${SEED}: ${strangers.length} frames of noise`);
    const { counters } = await line.end();
    const lost = 2000 - counters.accepted;
    assert.ok(lost > 50, `seed ${SEED}: faults were injected, ${lost} lost`);
    assert.ok((counters.refused["checksum"] ?? 0) > 0, `seed ${SEED}`);
  });

  for (const kind of ["thermometer", "door-contact", "weather-station"] as const) {
    it(`keep the books of a ${kind} under noise, brown-outs and pulled plugs`, async () => {
      const faults = {
        noise: 0.05,
        drop: 0.02,
        double: 0.02,
        half: 0.02,
        brownOut: 0.005,
        disconnect: 0.001,
        outageMs: 100,
      };
      const line = await connect({
        kind,
        transport: "pty",
        count: 1500,
        intervalMs: 0,
        bootMs: 20,
        faults,
      });
      await line.until("1,500 samples", () => line.sampled() === 1500);
      await line.until("the last frames", () => line.isQuiet());
      const { counters } = await line.end();
      // How many are lost with a pulled plug depends on how fast the sensor is.
      assert.ok(counters.accepted > 20, `seed ${SEED}: ${JSON.stringify(counters)}`);
      assert.ok(Object.keys(counters.refused).length > 0, `seed ${SEED}`);
      if (kind === "door-contact") assertRising(line.numbers);
    });
  }

  it("pause a port whose sink is full, and lose nothing", async () => {
    let answering = false;
    const waiting: (() => void)[] = [];
    const line = await connect(
      { kind: "door-contact", transport: "pty", count: 100, intervalMs: 0, powered: false },
      {
        limits: { inflightMax: 8 },
        sink: () =>
          answering ? Promise.resolve() : new Promise((resolve) => waiting.push(resolve)),
      },
    );
    await line.until("open", () => line.device.status().state === "open");
    line.field.sensor("s").power(true);
    await line.until("100 samples", () => line.sampled() === 100);
    await line.until("a pause", () => line.device.status().counters.paused > 0);
    assert.equal(waiting.length, 8);
    answering = true;
    for (const answer of waiting) answer();
    await line.until("100 frames", () => line.device.status().counters.accepted === 100);
    assert.deepEqual(line.numbers, counting(100));
    await line.end();
  });

  it("notice that the cable was pulled while the port was paused with bytes unread", async () => {
    let full = true;
    const waiting: (() => void)[] = [];
    const line = await connect(
      { kind: "vibration", transport: "pty", intervalMs: 0 },
      {
        limits: { inflightMax: 8 },
        sink: () => (full ? new Promise((resolve) => waiting.push(resolve)) : Promise.resolve()),
      },
    );
    await line.until("a pause", () => line.device.status().counters.paused > 0);
    // More than serialport reads ahead and the kernel keeps, so that no read waits for bytes when the plug is pulled.
    await line.until("backlog", () => line.field.counts()["s"]?.lostBytes !== 0);
    await line.field.sensor("s").pull();
    full = false;
    for (const answer of waiting) answer();
    await line.until("notice", () => line.device.status().state === "waiting");
    const before = process.cpuUsage();
    await line.until("another attempt", () => line.device.status().reason === "no-such-port");
    const { user, system } = process.cpuUsage(before);
    assert.ok((user + system) / 1000 < 2000, "the process does not spin");
    await line.field.sensor("s").plugIn();
    const accepted = line.device.status().counters.accepted;
    await line.until("frames again", () => line.device.status().counters.accepted > accepted + 50);
    await line.end();
  });

  it("say that a port is held by another, and take it when it is free", async () => {
    const line = await connect({ kind: "door-contact", transport: "pty", intervalMs: 5 });
    await line.until("open", () => line.device.status().state === "open");
    const second = deviceFor(boardDevice("door-contact", "s", line.port), deviceTools());
    await second.start(new AbortController().signal);
    await until("busy", () => second.status().reason === "busy");
    await line.device.stop();
    await until("the port", () => second.status().counters.accepted > 0);
    await second.stop();
    await line.end();
  });

  it("say that there is no such port, and that a path is no terminal", async () => {
    const file = join(directory, "no-terminal");
    await writeFile(file, "");
    for (const [port, reason] of [
      [join(directory, "nothing"), "no-such-port"],
      [file, "failed"],
      ["tcp://127.0.0.1:1", "connection-refused"],
    ] as const) {
      const one = deviceFor(boardDevice("thermometer", "s", port), deviceTools());
      await one.start(new AbortController().signal);
      await until(`${port} is ${reason}`, () => one.status().reason === reason);
      await one.stop();
      assert.equal(one.status().state, "closed");
    }
  });
});

/** Reasons for which the first and the last frame of an opening may be refused. */
const HALF = new Set(["unsynchronised", "incomplete", "checksum", "malformed", "timeout"]);

interface Line {
  readonly field: Field;
  readonly device: Device;
  readonly port: string;
  /** Running numbers of the accepted messages, in order. */
  readonly numbers: number[];
  readonly payloads: Uint8Array[];
  sampled(): number;
  isQuiet(): boolean;
  until(what: string, claim: () => boolean): Promise<void>;
  /** Stops both sides and checks that the books balance. */
  end(): Promise<ReturnType<Device["status"]>>;
}

async function connect(
  spec: Omit<SerialSpec, "name">,
  options: {
    readonly limits?: Partial<DeviceLimits>;
    readonly sink?: () => Promise<void>;
    readonly observe?: (n: number, damaged: boolean) => void;
  } = {},
): Promise<Line> {
  const sensor: SensorSpec = { baudRate: 460_800, bootMs: 150, ...spec, name: "s" };
  const field = await startField({
    sensors: [sensor],
    seed: SEED,
    directory,
    observe: ({ n, is }) => {
      if (is !== "found") options.observe?.(n, is === "lost");
    },
  });
  const port = field.sensor("s").port ?? "";
  const numbers: number[] = [];
  const payloads: Uint8Array[] = [];
  const made = deviceFor(boardDevice(spec.kind, "s", port), {
    ...deviceTools(async (message) => {
      await options.sink?.();
      payloads.push(message.payload);
      const n = numberOf(spec.kind, message.payload);
      if (n !== null) numbers.push(n);
    }),
    limits: { backoffFirstMs: 20, backoffMaxMs: 200, ...options.limits },
  });
  await made.start(new AbortController().signal);
  const line: Line = {
    field,
    device: made,
    port,
    numbers,
    payloads,
    sampled: () => field.counts()["s"]?.sampled ?? 0,
    isQuiet: quiet(made),
    async until(what, claim) {
      try {
        await until(what, claim, 30_000);
      } catch (error) {
        const seen = { seed: SEED, device: made.status(), field: field.counts() };
        throw new Error(JSON.stringify(seen), { cause: error });
      }
    },
    async end() {
      await made.stop();
      await field.stop();
      const status = made.status();
      const { frames, accepted, refused, inflight } = status.counters;
      const sum = Object.values(refused).reduce((total, count) => total + count, 0);
      assert.equal(frames, accepted + sum, `seed ${SEED}: ${JSON.stringify(status)}`);
      assert.equal(inflight, 0);
      return status;
    },
  };
  lines.push(line);
  return line;
}

function counting(count: number): number[] {
  return Array.from({ length: count }, (_, i) => i + 1);
}

function assertRising(numbers: readonly number[]): void {
  const falls = numbers.filter((n, i) => i > 0 && n <= (numbers[i - 1] ?? 0));
  assert.deepEqual(falls, [], `seed ${SEED}`);
}
