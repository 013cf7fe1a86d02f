import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, before, describe, it } from "node:test";
import { startField } from "../../firmware-sim/field.ts";
import { Recorder } from "../../firmware-sim/recorder.ts";
import { startReplay } from "../../firmware-sim/replay.ts";
import type { SensorSpec } from "../../firmware-sim/sensor.ts";
import type { DeviceConfig } from "../../src/config/schema.ts";
import type { Device } from "../../src/devices/device.ts";
import { deviceFor } from "../../src/devices/device-for.ts";
import { boardDevice, quiet } from "../devices/boards-support.ts";
import { deviceTools } from "../devices/device-tools.ts";
import { meterSlave, modbusDevice } from "../devices/modbus-support.ts";
import { ScriptedBroker } from "../support/scripted-broker.ts";
import { until } from "../support/until.ts";

const SEED = Number(process.env["SEED"] ?? Math.floor(Math.random() * 2 ** 31));
const BAUD_RATE = 230_400;
const FRAMES = 150;

let directory = "";
const running: { stop(): Promise<void> }[] = [];
before(async () => {
  directory = await mkdtemp(join(tmpdir(), "replay-"));
});
afterEach(async () => {
  for (const each of running.splice(0).reverse()) await each.stop();
});
after(() => rm(directory, { recursive: true, force: true }));

describe(`a run that is replayed, seed ${SEED}`, { timeout: 240_000 }, () => {
  const kinds = ["thermometer", "door-contact", "vibration", "weather-station"] as const;
  for (const transport of ["pty", "tcp"] as const) {
    it(`gives a gateway the same frames and the same refusals over ${transport}`, async () => {
      const path = join(directory, `boards-${transport}`);
      const faults = { noise: 0.1, drop: 0.05, double: 0.05, half: 0.05, baudMismatch: 0.02 };
      const lasting = { mismatchMs: 25, brownOut: 0.02, stuck: 0.01, stuckMs: 20 };
      const common = { baudRate: BAUD_RATE, bootMs: 15, intervalMs: 2, count: FRAMES };
      const sensors = kinds.map((kind): SensorSpec => {
        const name = `${kind}-${transport}`;
        return { ...common, kind, name, powered: false, faults: { ...faults, ...lasting } };
      });
      const field = await startField({ sensors, seed: SEED, record: path });
      running.push(field);
      const live = await Promise.all(
        sensors.map(({ name, kind }) => read(boardAt(kind, field.sensor(name).port))),
      );
      for (const { name } of sensors) field.sensor(name).power(true);
      await until("all samples", () =>
        Object.values(field.counts()).every(({ sampled }) => sampled === FRAMES),
      );
      const first = await Promise.all(live.map((reader) => reader.end()));
      await field.stop();

      const replay = await startReplay({ path, transport });
      running.push(replay);
      assert.equal(replay.seed, SEED);
      const again = await Promise.all(
        replay.sensors.map(({ kind, at, baudRate }) => {
          assert.equal(at?.startsWith("tcp:"), transport === "tcp");
          assert.equal(baudRate, BAUD_RATE);
          return read(boardAt(kind, at));
        }),
      );
      await replay.play();
      const second = await Promise.all(again.map((reader) => reader.end()));
      for (const [i, one] of first.entries()) {
        assert.ok(one.messages.length > FRAMES / 10, `seed ${SEED}: ${one.messages.length}`);
        assert.deepEqual(second[i], one, `seed ${SEED}, ${sensors[i]?.name}`);
      }
    });
  }

  it("gives a Modbus master the same answers to the same questions", async () => {
    for (const transport of ["pty", "modbus-tcp"] as const) {
      const path = join(directory, `meter-${transport}`);
      // It answers from the first question on.
      const line = { baudRate: BAUD_RATE, transport, bootMs: 0 } as const;
      const spec = { ...line, kind: "energy-meter", name: "m" } as const;
      const field = await startField({ sensors: [spec], seed: SEED, record: path });
      running.push(field);
      const live = await read(master(field.sensor("m").port, transport));
      await until("60 answers", () => live.messages.length >= 60);
      await live.end();
      await field.stop();

      const replay = await startReplay({ path, askedMsMax: 5000 });
      running.push(replay);
      const again = await read(master(replay.sensors[0]?.at ?? null, transport));
      await replay.play();
      const { messages, refused } = await again.end();
      const count = Math.min(messages.length, live.messages.length);
      assert.ok(count >= 59, `seed ${SEED}: ${count} answers, ${JSON.stringify(refused)}`);
      assert.deepEqual(messages.slice(0, count), live.messages.slice(0, count), `seed ${SEED}`);
    }
  });

  it("has an MQTT sensor connect again, and say the same", async () => {
    const path = join(directory, "mqtt");
    const broker = await ScriptedBroker.start();
    running.push(broker);
    const { hostname, port } = new URL(broker.endpoint);
    const spec = { kind: "mqtt", name: "mq", port: Number(port), bootMs: 5 } as const;
    const sensor = { ...spec, intervalMs: 2, count: 40, backoffFirstMs: 5 };
    const field = await startField({ sensors: [sensor], seed: SEED, record: path });
    running.push(field);
    await until("half of it", () => (field.counts()["mq"]?.acknowledged ?? 0) >= 20);
    await field.sensor("mq").pull();
    await field.sensor("mq").plugIn();
    await until("all of it", () => field.counts()["mq"]?.acknowledged === 40);
    await field.stop();
    const said = broker.published.map(({ payload, dup }) => `${dup} ${payload}`);
    assert.ok(said.length >= 40 && broker.visits.length === 2);

    const other = await ScriptedBroker.start();
    running.push(other);
    const replay = await startReplay({
      path,
      broker: { host: hostname, port: Number(new URL(other.endpoint).port) },
    });
    running.push(replay);
    await replay.play();
    await until("all of it again", () => other.published.length >= said.length);
    assert.deepEqual(
      other.published.map(({ payload, dup }) => `${dup} ${payload}`),
      said,
    );
    assert.equal(other.visits.length, 2);
  });

  it("says nothing before its time, and pulls its cable when the run did", async () => {
    const path = join(directory, "timing");
    let nowMs = 0;
    const recorder = new Recorder(
      path,
      { seed: 1, sensors: [{ name: "s", kind: "thermometer", transport: "tcp" }] },
      () => nowMs,
    );
    const note = recorder.noteOf(0);
    const plan: readonly (readonly [number, "say" | "pull" | "plug"])[] = [
      [0, "plug"],
      [300, "say"],
      [330, "say"],
      [500, "pull"],
      [600, "say"],
      [700, "plug"],
      [1200, "say"],
    ];
    for (const [atMs, what] of plan) {
      nowMs = atMs;
      note(what, what === "say" ? Buffer.from("x") : undefined);
    }
    recorder.end();
    const replay = await startReplay({ path });
    running.push(replay);
    const seen: { readonly what: string; readonly atMs: number }[] = [];
    let beganMs = 0;
    const see = (what: string) => seen.push({ what, atMs: performance.now() - beganMs });
    const port = Number(new URL(replay.sensors[0]?.at ?? "").port);
    const listen = () => {
      const socket = connect(port, "127.0.0.1");
      socket.on("error", () => {});
      socket.on("data", () => see("say"));
      socket.on("close", () => {
        if (socket.bytesRead > 0) see("pull");
        if (seen.length < 4) setTimeout(listen, 5);
      });
      running.push({ stop: async () => void socket.destroy() });
      return socket;
    };
    await once(listen(), "connect");
    beganMs = performance.now();
    await replay.play();
    await until("the last byte", () => seen.length === 4);
    const heard = [300, 330, 500, 1200];
    assert.deepEqual(
      seen.map(({ what }) => what),
      ["say", "say", "pull", "say"],
    );
    for (const [i, { atMs }] of seen.entries()) {
      assert.ok(atMs >= (heard[i] ?? 0), `${i} came after ${atMs} ms`);
    }
    const { bytes, lostBytes, entries } = replay.counts()["s"] ?? assert.fail("no counts");
    assert.deepEqual([bytes, lostBytes, entries], [3, 1, plan.length]);
  });

  it("ends at once when it is stopped, whatever it waits for", async () => {
    const path = join(directory, "endless");
    let nowMs = 0;
    const sensors = (["thermometer", "energy-meter"] as const).map((kind) => {
      return { name: kind, kind, transport: "tcp" } as const;
    });
    const recorder = new Recorder(path, { seed: 1, sensors }, () => nowMs);
    nowMs = 3_600_000;
    recorder.noteOf(0)("say", Buffer.from("x"));
    recorder.noteOf(1)("hear", Buffer.from("x"));
    recorder.end();
    const replay = await startReplay({ path });
    const playing = replay.play();
    const beganMs = performance.now();
    await replay.stop();
    await playing;
    assert.ok(performance.now() - beganMs < 10_000);
    assert.equal(replay.counts()["energy-meter"]?.unasked, false);
  });
});

describe("npm run sim", { timeout: 120_000 }, () => {
  it("records a run and replays it; refuses what is no recording with a code", async () => {
    const fleet = join(directory, "fleet.json");
    const path = join(directory, "run.rec");
    const sensor = { kind: "door-contact", name: "dc", intervalMs: 20, transport: "tcp" };
    await writeFile(fleet, JSON.stringify([sensor]));
    const live = new Sim("--fleet", fleet, "--seed", "3", "--record", path);
    const [{ port: at }] = (await live.said("running"))["running"] as [{ port: string }];
    const first = await linesAt(at, (lines) => lines.length > 5);
    assert.equal(await live.interrupted(), 0, live.err);
    assert.match(await readFile(path, "utf8"), /\n\{"entries":\d+,"crc32":"[0-9a-f]{8}"\}\n$/);

    const again = new Sim("--replay", path, "--wait", "1");
    const [{ port: replayed }] = (await again.said("replaying"))["replaying"] as [{ port: string }];
    const second = await linesAt(replayed, (_lines, closed) => closed);
    for (const line of first) assert.ok(second.includes(line), `${line} in ${second}`);
    const counts = (await again.said("replayed"))["replayed"] as Record<string, unknown>;
    assert.ok("dc" in counts);
    assert.equal(await again.ended(), 0, again.err);

    const bytes = await readFile(path);
    await writeFile(path, bytes.subarray(0, -10));
    const refused = new Sim("--replay", path);
    assert.equal(await refused.ended(), 2);
    assert.match(refused.err, /run\.rec ends in the middle.*\(ERR_RECORDING_TRUNCATED\)/);
    const over = new Sim("--fleet", fleet, "--record", path);
    assert.equal(await over.ended(), 2);
    assert.match(over.err, /ERR_RECORDING_WRITE/);
    const both = new Sim("--fleet", fleet, "--replay", path);
    assert.equal(await both.ended(), 2);
  });
});

interface Heard {
  readonly messages: readonly string[];
  readonly refused: Readonly<Record<string, number>>;
}

interface Reader extends Heard {
  /** Once nothing comes any more. */
  end(): Promise<Heard>;
}

/** A gateway's device with its port open. */
async function read(config: DeviceConfig): Promise<Reader> {
  const messages: string[] = [];
  const made: Device = deviceFor(config, {
    ...deviceTools(({ topic, payload }) => {
      messages.push(`${topic} ${Buffer.from(payload).toString("hex")}`);
    }),
    limits: { backoffFirstMs: 10, backoffMaxMs: 50 },
  });
  running.push(made);
  await made.start(new AbortController().signal);
  await until("open", () => made.status().state === "open");
  return {
    messages,
    refused: {},
    async end() {
      if (config.modbus === undefined) await until("quiet", quiet(made));
      await made.stop();
      return { messages, refused: made.status().counters.refused };
    },
  };
}

function boardAt(kind: string, port: string | null): DeviceConfig {
  return boardDevice(kind, "board", port ?? "", BAUD_RATE);
}

function master(port: string | null, transport: "pty" | "modbus-tcp"): DeviceConfig {
  const framing = transport === "pty" ? "framing: rtu" : "framing: tcp";
  // An answer that a busy machine delays is waited for: both runs have all of them then.
  const slave = meterSlave(1, "intervalMs: 10\n      timeoutMs: 20000");
  return modbusDevice(port ?? "", slave, framing, `baudRate: ${BAUD_RATE}`);
}

/** Lines that come from a TCP port, until there are enough of them. */
async function linesAt(
  port: string,
  isEnough: (lines: readonly string[], closed: boolean) => boolean,
): Promise<string[]> {
  const socket = connect(Number(new URL(port).port), "127.0.0.1");
  let text = "";
  socket.on("data", (chunk) => {
    text += chunk.toString();
  });
  const lines = () => text.split("\n").slice(0, -1);
  await until("enough lines", () => isEnough(lines(), socket.closed));
  socket.destroy();
  return lines();
}

/** The program, as `npm run sim` starts it. */
class Sim {
  out = "";
  err = "";
  readonly #child: ChildProcess;
  readonly #exit: Promise<unknown>;

  constructor(...argv: readonly string[]) {
    const node = ["--import", "tsx", "firmware-sim/main.ts", ...argv];
    this.#child = spawn(process.execPath, node, { stdio: ["ignore", "pipe", "pipe"] });
    this.#child.stdout?.on("data", (chunk) => {
      this.out += chunk;
    });
    this.#child.stderr?.on("data", (chunk) => {
      this.err += chunk;
    });
    this.#exit = once(this.#child, "close");
    running.push({ stop: async () => void this.#child.kill("SIGKILL") });
  }

  /** The first object that it printed with that key. */
  async said(key: string): Promise<Record<string, unknown>> {
    const find = () => this.out.split("\n").find((line) => line.startsWith(`{"${key}"`));
    await until(`it says ${key}: ${this.err}`, () => find() !== undefined, 60_000);
    return JSON.parse(find() ?? "{}");
  }

  async ended(): Promise<number | null> {
    await this.#exit;
    return this.#child.exitCode;
  }

  async interrupted(): Promise<number | null> {
    this.#child.kill("SIGINT");
    return this.ended();
  }
}
