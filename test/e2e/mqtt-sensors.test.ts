import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { it } from "node:test";
import { connectAsync } from "mqtt";
import type { Faults } from "../../firmware-sim/faults.ts";
import { startField } from "../../firmware-sim/field.ts";
import type { MqttSpec, SensorCounts } from "../../firmware-sim/sensor.ts";
import { ask } from "../../src/control/control-client.ts";
import type { LedgerProof } from "../../src/gateway-status.ts";
import { freePort } from "../support/free-port.ts";
import { Program } from "../support/program.ts";
import { until } from "../support/until.ts";

const SEED = Number(process.env["SEED"] ?? Math.floor(Math.random() * 2 ** 31));
const SAMPLES = 200;

/** What can go wrong with a sensor on a network, and how the test knows that it did. */
const FAULTS: Readonly<
  Record<string, readonly [Partial<Faults>, (counts: SensorCounts) => boolean]>
> = {
  nothing: [{}, ({ repeated, resets }) => repeated === 0 && resets === 0],
  "half a packet": [{ half: 0.04 }, ({ damaged }) => damaged > 0],
  "a cable that is pulled": [
    { disconnect: 0.03, outageMs: 40 },
    ({ reconnects }) => reconnects > 0,
  ],
  "a line that is cut": [{ stuck: 0.03, stuckMs: 150 }, () => true],
  "brown-outs": [{ brownOut: 0.03 }, ({ resets }) => resets > 0],
  "a watchdog": [{ hang: 0.03, watchdogMs: 60 }, ({ resets }) => resets > 0],
  "reboot loops": [{ rebootLoop: 0.02 }, ({ resets }) => resets > 1],
  "a clock that drifts": [{ driftPpm: 20_000 }, ({ repeated }) => repeated === 0],
};

/**
 * Sensors that speak MQTT, under every fault that a network has, at the real program: each sample is acknowledged and reaches
 * whoever subscribed, in order; and both sides' books balance with each other.
 */
it(`keeps the books of MQTT sensors balanced under every fault (SEED=${SEED})`, {
  timeout: 240_000,
}, async (t) => {
  const directory = await mkdtemp(join(tmpdir(), "fieldgate-sensors-"));
  t.after(() => rm(directory, { recursive: true, force: true }));
  const config = join(directory, "fieldgate.yaml");
  const socket = join(directory, "control.sock");
  await writeFile(config, configOf(directory, socket, await freePort()));
  const gateway = new Program(config);
  const port = await gateway.start();
  t.after(() => gateway.terminate());

  const heard = new Map<string, number[]>();
  const subscriber = await connectAsync(`mqtt://127.0.0.1:${port}`, { clientId: "subscriber" });
  t.after(() => subscriber.endAsync(true));
  subscriber.on("message", (topic, payload) => {
    heard.set(topic, [...(heard.get(topic) ?? []), JSON.parse(String(payload)).n]);
  });
  await subscriber.subscribeAsync("sensors/#", { qos: 1 });

  const names = Object.keys(FAULTS);
  const field = await startField({
    seed: SEED,
    sensors: names.map((name): MqttSpec => {
      const faults = FAULTS[name]?.[0] ?? {};
      const pace = { intervalMs: 10, bootMs: 20, count: SAMPLES, backoffFirstMs: 10 };
      return { kind: "mqtt", name: name.replaceAll(" ", "-"), port, ...pace, faults };
    }),
  });
  t.after(() => field.stop());
  const counts = () => field.counts();
  await until(
    `all acknowledged, SEED=${SEED}`,
    () => Object.values(counts()).every(({ acknowledged }) => acknowledged === SAMPLES),
    120_000,
  ).catch((error: unknown) => {
    throw new Error(JSON.stringify(counts()), { cause: error });
  });
  const accepted = async () => (await proof()).lanes.telemetry.accepted;
  const proof = async () => (await ask(socket, "ledger")) as LedgerProof;
  const all = () => [...heard.values()].reduce((sum, each) => sum + each.length, 0);
  await until("all delivered", async () => all() === (await accepted()));

  for (const name of names) {
    const id = name.replaceAll(" ", "-");
    check(name, heard.get(`sensors/${id}`) ?? [], counts()[id] ?? assert.fail(id));
  }
  const sent = Object.values(counts()).reduce((sum, each) => sum + each.sent, 0);
  const { telemetry } = (await proof()).lanes;
  t.diagnostic(`${sent} packets sent, ${telemetry.accepted} came whole and were accepted`);
  assert.deepEqual([telemetry.queued, telemetry.missing], [telemetry.accepted, 0]);
});

/** sent = accepted + lost on the way; and every packet that was lost, or came twice, is one that the sensor has sent again. */
function check(fault: string, heard: readonly number[], counts: SensorCounts): void {
  const hint = `SEED=${SEED}, ${fault}: ${heard.length} heard, ${JSON.stringify(counts)}`;
  const first = heard.filter((n, i) => heard.indexOf(n) === i);
  const all = Array.from({ length: SAMPLES }, (_, i) => i + 1);
  assert.deepEqual(first, all, hint);
  const twice = heard.length - first.length;
  const lost = counts.sent - heard.length;
  assert.equal(counts.sent, SAMPLES + counts.repeated, hint);
  assert.equal(lost, counts.repeated - twice, hint);
  assert.ok(lost >= counts.damaged, hint);
  assert.ok(FAULTS[fault]?.[1](counts), hint);
}

/** A cloud that is not there: what is accepted stays, to be counted. */
function configOf(directory: string, socket: string, nowhere: number): string {
  return JSON.stringify({
    gateway: { id: "gw", site: "plant" },
    store: { path: join(directory, "store"), durability: "local" },
    listeners: [{ name: "lan", port: 0 }],
    control: { socket },
    uplink: { endpoints: [`mqtt://127.0.0.1:${nowhere}`], rules: [{ match: "sensors/#" }] },
  });
}
