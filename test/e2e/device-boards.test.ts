import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { it } from "node:test";
import { connectAsync, type MqttClient } from "mqtt";
import { type Field, startField } from "../../firmware-sim/field.ts";
import type { Observed, SensorSpec } from "../../firmware-sim/sensor.ts";
import type { DeviceConfig } from "../../src/config/schema.ts";
import { ask } from "../../src/control/control-client.ts";
import type { GatewayStatus, LedgerProof } from "../../src/gateway-status.ts";
import { checkAsked, checkSpeaking, FAULTS, SPEAKING } from "../devices/board-books.ts";
import { boardDevice, numberOf } from "../devices/boards-support.ts";
import { meterSlave, modbusDevice } from "../devices/modbus-support.ts";
import { PROGRAM, Program } from "../support/program.ts";
import { until } from "../support/until.ts";

const IS_LONG = process.env["FIELDGATE_TEST_LONG"] !== undefined;
const SEED = Number(process.env["SEED"] ?? Math.floor(Math.random() * 2 ** 31));
const FRAMES = IS_LONG ? 1000 : 100;
const BAUD_RATE = 230_400;
const WAIT_MS_MAX = 240_000;
const START_MS_MAX = 60_000;

const FRESH = { backoffFirstMs: 10, backoffMaxMs: 50, stableMs: 0 };
const KINDS = [...SPEAKING, "energy-meter"] as const;

interface Board {
  readonly name: string;
  readonly kind: (typeof KINDS)[number];
  readonly fault: string;
}

/**
 * Every board of firmware-sim under every fault, all of them at one gateway: the real program, real pseudo-terminals, its books as whoever
 * asks it sees them, and what it published as whoever subscribed sees it.
 */
for (const seed of Array.from({ length: IS_LONG ? 5 : 1 }, (_, i) => SEED + i)) {
  it(`the real program keeps the books of every board under every fault (SEED=${seed})`, {
    timeout: 2 * WAIT_MS_MAX,
  }, async (t) => {
    const directory = await mkdtemp(join(tmpdir(), "fieldgate-boards-"));
    t.after(() => rm(directory, { recursive: true, force: true }));
    const boards = Object.keys(FAULTS).flatMap((fault) =>
      KINDS.map((kind): Board => ({ kind, fault, name: `${kind}-${fault.replaceAll(" ", "-")}` })),
    );
    const seen = new Map(boards.map(({ name }) => [name, [] as Observed[]]));
    const field = await startField({
      sensors: boards.map(specOf),
      seed,
      observe: (each) => seen.get(each.sensor)?.push(each),
    });
    t.after(() => field.stop());
    const socket = join(directory, "control.sock");
    const gateway = new Program(
      await configOf(directory, socket, boards, field),
      PROGRAM,
      START_MS_MAX,
    );
    t.after(() => gateway.kill());
    const port = await gateway.start();
    const client = await connectAsync(`mqtt://127.0.0.1:${port}`);
    t.after(() => client.endAsync(true));
    const heard = await listen(client);
    const devices = async () => ((await ask(socket, "status")) as GatewayStatus).devices;
    const waits = (what: string, claim: () => boolean | Promise<boolean>) =>
      until(`${what}, SEED=${seed}`, claim, WAIT_MS_MAX);

    await waits("all are open", async () =>
      (await devices()).every(({ state }) => state === "open"),
    );
    for (const { name } of boards) field.sensor(name).power(true);
    const departed = (name: string) =>
      seen.get(name)?.filter(({ is }) => is !== "found").length ?? 0;
    await waits("all frames have left", () => boards.every(({ name }) => departed(name) >= FRAMES));
    // Meters go on answering: what they damage from here on is cut by the end.
    const damaged = new Map(boards.map(({ name }) => [name, field.counts()[name]?.damaged ?? 0]));
    await waits("all that were pulled are open again", async () => {
      return (await devices()).every(({ name, state, counters }) => {
        return (
          state === "open" && (field.counts()[name]?.reconnects === 0 || counters.reopened > 0)
        );
      });
    });
    for (const { name, kind } of boards)
      if (kind === "energy-meter") field.sensor(name).power(false);
    let bytes = "";
    await waits("what left was heard", async () => {
      const before = bytes;
      bytes = JSON.stringify((await devices()).map(({ counters }) => counters.bytes));
      await new Promise((resolve) => setTimeout(resolve, 300));
      return bytes === before;
    });
    await field.stop();
    await waits("all have lost their ports", async () => {
      return (await devices()).every(
        ({ state, counters }) => state !== "open" && counters.inflight === 0,
      );
    });
    const statuses = await devices();
    const proof = (await ask(socket, "ledger")) as LedgerProof;
    await gateway.terminate();

    for (const { name, kind, fault } of boards) {
      const where = `SEED=${seed}, ${name}`;
      const status = statuses.find((each) => each.name === name) ?? assert.fail(where);
      const intact = (seen.get(name) ?? []).filter(({ is }) => is === "found").map(({ n }) => n);
      const books = { intact, status, counts: field.counts()[name], where };
      if (kind === "energy-meter") {
        const numbers = ["m1", "m2"].map((slave) => heard.numbers.get(`d/${name}/${slave}`) ?? []);
        checkAsked(fault, numbers, books, damaged.get(name) ?? 0);
      } else
        checkSpeaking(kind, fault, FRAMES, { ...books, got: heard.numbers.get(`d/${name}`) ?? [] });
      assert.equal(proof.devices[name]?.missing, 0, where);
      // The retained topic of a device has said the same when the gateway stopped.
      const { counters, reason } = heard.statuses.get(name) ?? assert.fail(where);
      assert.deepEqual([counters, reason], [status.counters, "stopped"], where);
    }
    const sum = (of: (status: (typeof statuses)[number]) => number) =>
      statuses.reduce((total, each) => total + of(each), 0);
    t.diagnostic(
      `${boards.length} devices: ${sum(({ counters }) => counters.frames)} frames, ${sum(({ counters }) => counters.accepted)} accepted`,
    );
  });
}

function specOf({ name, kind, fault }: Board): SensorSpec {
  const common = {
    name,
    baudRate: BAUD_RATE,
    bootMs: 15,
    powered: false,
    transport: "pty",
  } as const;
  const faults = FAULTS[fault] ?? {};
  if (kind === "energy-meter") return { ...common, kind, units: 2, faults };
  return { ...common, kind, intervalMs: 10, count: FRAMES, faults };
}

function deviceOf({ name, kind }: Board, port: string): Partial<DeviceConfig> {
  if (kind !== "energy-meter") {
    return { ...boardDevice(kind, name, port, BAUD_RATE), topic: `d/${name}`, ...FRESH };
  }
  const keys = ["intervalMs: 50", "timeoutMs: 400", "retries: 1"].join("\n      ");
  const modbus = ["framing: rtu", "silentFirstMs: 10", "silentMaxMs: 40"].join("\n    ");
  const slaves = meterSlave(1, keys) + meterSlave(2, keys);
  const config = modbusDevice(port, slaves, modbus, `baudRate: ${BAUD_RATE}`);
  return { ...config, name, topic: `d/${name}/{slave}`, ...FRESH };
}

async function configOf(
  directory: string,
  socket: string,
  boards: readonly Board[],
  field: Field,
): Promise<string> {
  const path = join(directory, "fieldgate.yaml");
  const config = {
    gateway: { id: "gw", site: "plant" },
    store: { path: join(directory, "store") },
    listeners: [{ name: "lan", port: 0 }],
    control: { socket },
    devices: boards.map((board) => deviceOf(board, field.sensor(board.name).port ?? "")),
  };
  await writeFile(path, JSON.stringify(config));
  return path;
}

/** The running numbers of what is published, by topic, and what the status topics said last. */
async function listen(client: MqttClient) {
  const numbers = new Map<string, number[]>();
  const statuses = new Map<string, { readonly counters: object; readonly reason: string | null }>();
  client.on("message", (topic, payload) => {
    const [, kind = ""] = /^d\/([a-z]+(?:-contact|-station|-meter)?)-/.exec(topic) ?? [];
    if (kind === "") statuses.set(topic.split("/")[2] ?? "", JSON.parse(String(payload)));
    else {
      const n =
        kind === "energy-meter" ? JSON.parse(String(payload)).values.n : numberOf(kind, payload);
      if (n !== null) numbers.set(topic, [...(numbers.get(topic) ?? []), Number(n)]);
    }
  });
  await client.subscribeAsync(["d/#", "devices/+/+/status"], { qos: 1 });
  return { numbers, statuses };
}
