/**
 * Messages a second through the whole way: `npm run bench -- main-job [--seconds N] [--rounds N]`
 *
 * Four clients publish at QoS 1; each message is synced to disk before it is acknowledged, and carried at QoS 1 to a
 * mosquitto that stands for the cloud. Counted where it arrives there, until the last one has. Beside it, in turns, a
 * mosquitto whose bridge does the same with its persistence off: it acknowledges what it has only in memory.
 */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { startMosquitto } from "../test/support/mosquitto.ts";
import { Program } from "../test/support/program.ts";
import { until } from "../test/support/until.ts";
import { CountingSubscriber } from "./support/counting-subscriber.ts";
import { median } from "./support/figures.ts";
import { mqload } from "./support/mqload.ts";

const { values } = parseArgs({
  options: {
    seconds: { type: "string", default: "5" },
    rounds: { type: "string", default: "3" },
  },
});
const QUIET_MS = 1500;
const WINDOW = 1000;

interface Run {
  readonly acknowledged: number;
  readonly arrived: number;
  readonly perSecond: number;
}

const ours: Run[] = [];
const bridges: Run[] = [];
for (let round = 0; round < Number(values.rounds); round++) {
  ours.push(await withGateway());
  bridges.push(await withBridge());
}
show("fieldgate, synced before acknowledged", ours);
show("mosquitto and its bridge, not kept", bridges);
const ratio =
  median(ours.map((run) => run.perSecond)) / median(bridges.map((run) => run.perSecond));
console.log(`ratio of what arrives in the cloud     ${ratio.toFixed(2)}`);

async function withGateway(): Promise<Run> {
  const directory = await mkdtemp(join(tmpdir(), "fieldgate-bench-"));
  const cloud = await startMosquitto();
  const config = {
    store: { path: join(directory, "store") },
    listeners: [{ name: "bench", port: 0 }],
    uplink: { endpoints: [`mqtt://127.0.0.1:${cloud.port}`], rules: [{ match: "bench/#" }] },
    control: { socket: join(directory, "control.sock") },
  };
  await writeFile(join(directory, "fieldgate.yaml"), JSON.stringify(config));
  const gateway = new Program(join(directory, "fieldgate.yaml"));
  const port = await gateway.start();
  await gateway.line("connected to the cloud");
  const run = await measure(port, cloud.port);
  await gateway.terminate();
  await cloud.end();
  await rm(directory, { recursive: true, force: true });
  return run;
}

async function withBridge(): Promise<Run> {
  const cloud = await startMosquitto();
  const bridge = ["connection cloud", `address 127.0.0.1:${cloud.port}`, "topic # out 1"];
  const edge = await startMosquitto({ config: ["set_tcp_nodelay true", ...bridge] });
  await until("the bridge connected", () => / as \S+\.cloud /.test(cloud.log()));
  const run = await measure(edge.port, cloud.port);
  await edge.end();
  await cloud.end();
  return run;
}

async function measure(port: number, cloudPort: number): Promise<Run> {
  const counter = await CountingSubscriber.start(cloudPort, "bench/#");
  const began = performance.now();
  const load = await mqload(
    "-p",
    port,
    "-m",
    "ingest",
    "-P",
    4,
    "-q",
    1,
    "-s",
    100,
    "-w",
    WINDOW,
    "-W",
    0,
    "-t",
    Number(values.seconds),
  );
  let before = -1;
  while (before !== counter.count) {
    before = counter.count;
    await new Promise((resolve) => setTimeout(resolve, QUIET_MS));
  }
  counter.stop();
  const seconds = (counter.lastMs - began) / 1000;
  return { acknowledged: load.acked_s, arrived: counter.count, perSecond: counter.count / seconds };
}

function show(name: string, runs: readonly Run[]): void {
  const acknowledged = median(runs.map((run) => run.acknowledged));
  const perSecond = median(runs.map((run) => run.perSecond));
  console.log(
    `${name.padEnd(38)} ${count(acknowledged)}/s acknowledged, ${count(perSecond)}/s at the cloud (medians of ${runs.length})`,
  );
}

function count(value: number): string {
  return Math.round(value).toLocaleString("en-US");
}
