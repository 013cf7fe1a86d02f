import assert from "node:assert/strict";
import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { connectAsync, type MqttClient } from "mqtt";
import { type Field, startField } from "../../firmware-sim/field.ts";
import { ask } from "../../src/control/control-client.ts";
import type { GatewayStatus, LedgerProof } from "../../src/gateway-status.ts";
import { type Arrival, CloudReceiver } from "../support/cloud-receiver.ts";
import { type Mosquitto, startMosquitto } from "../support/mosquitto.ts";
import { PROGRAM, Program } from "../support/program.ts";
import { fieldgate } from "../support/screens.ts";
import { until } from "../support/until.ts";
import { verdicts } from "../support/verdicts.ts";

const READINGS = 40;
/** What the machine begins with: a second into 1970. */
const UNSET_MS = 1000 - Date.now();
/** Between a byte on the cable and the entry in the journal, on a machine that is busy; and between two clocks that are read. */
const LATE_MS_MAX = 15_000;
const EARLY_MS_MAX = 250;

/**
 * The real program on a machine without a battery-backed clock: it takes readings in 1970 while there is no way to the cloud, is
 * killed and started again, and then a time server sets its clock. Its wall clock and what timedatectl says are the test's; all else is real.
 */
describe("a gateway whose clock is set while readings wait for the cloud", {
  timeout: 240_000,
}, () => {
  let directory = "";
  let config = "";
  let field: Field;
  let mosquitto: Mosquitto;
  let receiver: CloudReceiver;
  let program: Program;
  let client: MqttClient;
  /** When each reading left its sensor, by a clock that is right. */
  const leftMs = new Map<number, number>();
  const saidMs = new Map<string, number>();
  const replies: string[] = [];

  before(async () => {
    directory = await mkdtemp(join(tmpdir(), "fieldgate-clock-"));
    field = await startField({
      seed: 1,
      directory,
      sensors: [
        { kind: "door-contact", name: "door", intervalMs: 30, count: READINGS, powered: false },
        { kind: "energy-meter", name: "bus", baudRate: 115_200 },
      ],
      observe: ({ sensor, n, is }) => {
        if (sensor === "door" && is === "left") leftMs.set(n, Date.now());
      },
    });
    mosquitto = await startMosquitto({ persistent: true });
    receiver = await CloudReceiver.start({ port: mosquitto.port, filter: "cloud/#" });
    // It ends in good order, and keeps the receiver's subscription.
    await mosquitto.kill("SIGTERM");
    await writeFile(join(directory, "timedatectl"), `#!/bin/sh\ncat ${directory}/answer\n`);
    await chmod(join(directory, "timedatectl"), 0o755);
    await clock(UNSET_MS, "no");
    config = join(directory, "fieldgate.yaml");
    await writeFile(config, configOf(directory, field, mosquitto.port));
    const [node = "", ...argv] = PROGRAM;
    const preload = new URL("../support/wall-clock.mjs", import.meta.url).href;
    program = new Program(config, [
      "/usr/bin/env",
      `PATH=${directory}:${process.env["PATH"]}`,
      `FIELDGATE_TEST_WALL=${directory}/wall`,
      node,
      `--import=${preload}`,
      ...argv,
    ]);
    await start();
  });

  after(async () => {
    await client?.endAsync(true);
    await program?.terminate();
    await field?.stop();
    await receiver?.stop();
    await mosquitto?.end();
    await rm(directory, { recursive: true, force: true });
  });

  it("takes readings though nobody has set its clock", async () => {
    await until("asked", async () => (await status()).time.quality === "unset");
    await until("open", async () =>
      (await status()).devices.every(({ state }) => state === "open"),
    );
    field.sensor("door").power(true);
    await say("brief/1");
    await say("lasting/1");
    await until(
      "all readings",
      async () => (await status()).devices[0]?.counters.accepted === READINGS,
    );
    assert.equal((await proof()).lanes.telemetry.queued, READINGS + 2);
  });

  it("keeps them over a kill, and still does not know the time", async () => {
    await client.endAsync(true);
    await program.kill();
    await start();
    await until("asked", async () => (await status()).time.quality === "unset");
    assert.equal((await proof()).lanes.telemetry.queued, READINGS + 2);
  });

  it("counts the deadlines of commands by the monotonic clock while the wall clock is set", async () => {
    await until("the meter", async () => (await status()).devices[1]?.slaves?.[0]?.online === true);
    // The first waits two seconds for a slave that is not there; the others wait for it.
    await command({ id: "nobody", slave: "m9", coil: 0, value: true });
    await command({ id: "short", slave: "m1", coil: 0, value: true, deadlineMs: 500 });
    await command({ id: "long", slave: "m1", coil: 0, value: true, deadlineMs: 60_000 });
    await clock(0, "yes");
    await until("three replies", () => replies.length === 3);
    assert.deepEqual(replies, [
      '{"id":"nobody","result":"timeout","reason":"no-answer"}',
      '{"id":"short","result":"timeout","reason":"deadline"}',
      '{"id":"long","result":"success"}',
    ]);
  });

  it("notices that its clock was set, and how far", async () => {
    await until("synchronised", async () => (await status()).time.quality === "synchronised");
    const { steps, lastStepMs } = (await status()).time;
    assert.equal(steps, 1);
    assert.ok(Math.abs((lastStepMs ?? 0) + UNSET_MS) < 2000, String(lastStepMs));
    await say("lasting/2");
  });

  it("has in doctor no word for the first time, as every start without a battery is, and warns when it happens again", async () => {
    const jump = async () => {
      const { out } = await fieldgate(
        "doctor",
        "--only",
        "clock.jump",
        "--json",
        "--config",
        config,
      );
      return verdicts(JSON.parse(out).findings)["clock.jump"];
    };
    assert.equal(await jump(), "fine");
    for (const offsetMs of [3_600_000, 0]) {
      const { steps } = (await status()).time;
      await clock(offsetMs, "yes");
      await until("it is noticed", async () => (await status()).time.steps === steps + 1);
    }
    assert.equal(await jump(), "warning");
  });

  it("dates what waited anew by the difference before it leaves", async () => {
    await mosquitto.start();
    const isThere = (topic: string, count: number) => receiver.of(topic).length === count;
    await until("all readings at the cloud", () => isThere("cloud/door", READINGS));
    await until("the last message", () => isThere("cloud/lasting/2", 1));
    let last = Number.NEGATIVE_INFINITY;
    const numbers: number[] = [];
    for (const arrival of receiver.of("cloud/door")) {
      const n: number = JSON.parse(arrival.payload).values.n;
      numbers.push(n);
      assert.equal(arrival.user["fg-clock"], "redated", arrival.payload);
      const atMs = timeOf(arrival);
      assertNear(atMs, leftMs.get(n), `reading ${n}`);
      // Each block of the journal has read the two clocks by itself, and not at the same instant.
      assert.ok(atMs > last - EARLY_MS_MAX, `reading ${n} is dated ${last - atMs} ms too early`);
      last = Math.max(last, atMs);
    }
    assert.deepEqual(
      numbers,
      Array.from({ length: READINGS }, (_, i) => i + 1),
    );
    const [old] = receiver.of("cloud/lasting/1");
    assert.equal(old?.user["fg-clock"], "redated");
    assertNear(timeOf(old), saidMs.get("lasting/1"), "lasting/1");
    const [fresh] = receiver.of("cloud/lasting/2");
    assert.equal(fresh?.user["fg-clock"], undefined);
    assertNear(timeOf(fresh), saidMs.get("lasting/2"), "lasting/2");
  });

  it("gives up what expired by the monotonic clock, and not what the step made look old", async () => {
    // The cloud has the messages before we have its acknowledgements.
    await until("nothing waits", async () => (await proof()).lanes.telemetry.queued === 0);
    const { telemetry } = (await proof()).lanes;
    assert.deepEqual(
      [
        telemetry.accepted,
        telemetry.delivered,
        telemetry.dropped,
        telemetry.queued,
        telemetry.missing,
      ],
      [READINGS + 3, READINGS + 2, { expired: 1 }, 0, 0],
    );
    assert.deepEqual(receiver.of("cloud/brief/1"), []);
  });

  async function clock(offsetMs: number, synchronised: "yes" | "no"): Promise<void> {
    await writeFile(join(directory, "answer"), `${synchronised}\n`);
    await writeFile(join(directory, "wall"), String(offsetMs));
  }

  async function start(): Promise<void> {
    const port = await program.start();
    client = await connectAsync(`mqtt://127.0.0.1:${port}`, { clientId: "test" });
    client.on("message", (_topic, payload) => replies.push(String(payload)));
    await client.subscribeAsync("commands/bus/reply", { qos: 1 });
  }

  async function say(topic: string): Promise<void> {
    saidMs.set(topic, Date.now());
    await client.publishAsync(topic, "x", { qos: 1 });
  }

  async function command(what: object): Promise<void> {
    await client.publishAsync("commands/bus", JSON.stringify(what), { qos: 1 });
  }

  async function status(): Promise<GatewayStatus> {
    return (await ask(join(directory, "control.sock"), "status")) as GatewayStatus;
  }

  async function proof(): Promise<LedgerProof> {
    return (await ask(join(directory, "control.sock"), "ledger")) as LedgerProof;
  }
});

function timeOf(arrival: Arrival | undefined): number {
  return Date.parse(String(arrival?.user["fg-time"]));
}

function assertNear(atMs: number, trueMs: number | undefined, what: string): void {
  const lateMs = atMs - (trueMs ?? Number.NaN);
  assert.ok(lateMs > -EARLY_MS_MAX && lateMs < LATE_MS_MAX, `${what} is dated ${lateMs} ms late`);
}

function configOf(directory: string, field: Field, cloudPort: number): string {
  const line = { backoffFirstMs: 50, backoffMaxMs: 200 };
  const limit = { field: "limit", table: "holding", register: 0 };
  // Nobody answers as m9: a request to it takes its two seconds.
  const nobody = { unit: 9, timeoutMs: 2000, intervalMs: 3_600_000 };
  return JSON.stringify({
    gateway: { id: "gw", site: "plant" },
    store: { path: join(directory, "store") },
    listeners: [{ name: "lan", port: 0 }],
    control: { socket: join(directory, "control.sock") },
    health: { clockSeconds: 1 },
    devices: [
      {
        ...line,
        name: "door",
        port: field.sensor("door").port,
        framing: { check: "crc16-ccitt" },
        decode: { type: "key-value" },
        topic: "door",
      },
      {
        ...line,
        name: "bus",
        port: field.sensor("bus").port,
        baudRate: 115_200,
        topic: "meter/{slave}",
        commandTopic: "commands/bus",
        modbus: {
          slaves: [
            { name: "m1", unit: 1, intervalMs: 3_600_000, fields: [limit] },
            { name: "m9", ...nobody, fields: [limit] },
          ],
        },
      },
    ],
    uplink: {
      endpoints: [`mqtt://127.0.0.1:${cloudPort}`],
      backoffFirstMs: 50,
      backoffMaxMs: 200,
      breaker: { openMs: 500 },
      gapRecords: false,
      rules: [
        { match: "door", remoteTopic: "cloud/{topic}" },
        { match: "brief/#", remoteTopic: "cloud/{topic}", expirySeconds: 1 },
        { match: "lasting/#", remoteTopic: "cloud/{topic}", expirySeconds: 3600 },
      ],
    },
  });
}
