/**
 * `npm start`: one gateway with its store under ./data, a simulated field and a stand-in for the cloud, all on loopback.
 * The gateway is the real program; field and stand-in live in this process.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join, relative } from "node:path";
import { createInterface } from "node:readline";
import { type Field, startField } from "../firmware-sim/field.ts";
import { hasSocat } from "../firmware-sim/pty.ts";
import type { SensorSpec } from "../firmware-sim/sensor.ts";
import { ask } from "../src/control/control-client.ts";
import type { GatewayStatus } from "../src/gateway-status.ts";
import { type DemoCloud, startDemoCloud } from "./demo-cloud.ts";
import { demoLine, demoScreen } from "./demo-screen.ts";

const PORT = 1883;
const SEED = 7;
const directory = join(process.cwd(), "data");
const socket = join(directory, "control.sock");

const mqttSensors = (port: number): SensorSpec[] =>
  ["pump-1", "pump-2", "tank"].map((name, i) => ({
    kind: "mqtt",
    name,
    port,
    topic: `plant/${name}`,
    intervalMs: 100 + 50 * i,
  }));

const serialSensors: readonly SensorSpec[] = [
  { kind: "thermometer", name: "boiler", intervalMs: 250 },
  { kind: "weather-station", name: "roof", intervalMs: 500 },
];

const READ_BY: Readonly<Record<string, object>> = {
  thermometer: { framing: { type: "lines" }, decode: { type: "text" } },
  "weather-station": { framing: { type: "lines" }, decode: { type: "nmea" } },
};

async function main(): Promise<number> {
  await mkdir(directory, { recursive: true });
  if (!(await hasSocat())) {
    console.log(
      "socat is not installed (Debian: apt-get install socat): serial sensors run over TCP",
    );
  }
  const cloud = await startDemoCloud();
  const serial = await startField({ sensors: serialSensors, seed: SEED, directory });
  const config = join(directory, "demo.yaml");
  await writeFile(config, JSON.stringify(await configuration(serial, cloud), null, 2));
  const gateway = await startGateway(config);
  const mqtt = await startField({ sensors: mqttSensors(gateway.port), seed: SEED, directory });

  const stopShowing = show(gateway.port, cloud);
  const code = await Promise.race([ended(), gateway.exit]);
  stopShowing();
  console.log("\nstopping");
  await Promise.all([mqtt.stop(), serial.stop()]);
  gateway.terminate();
  const exit = await gateway.exit;
  await cloud.stop();
  console.log("stopped");
  return code ?? exit;
}

async function configuration(serial: Field, cloud: DemoCloud): Promise<object> {
  return {
    gateway: { id: "gw-demo", site: "demo" },
    store: { path: join(directory, "store") },
    listeners: [{ name: "local", port: (await isFree(PORT)) ? PORT : 0 }],
    devices: serial.sensors.map(({ name, kind, port }) => ({
      name,
      port,
      ...READ_BY[kind],
      topic: "plant/{device}",
    })),
    uplink: {
      endpoints: [`mqtt://127.0.0.1:${cloud.port}`],
      rules: [{ match: "plant/#", remoteTopic: "sites/{site}/{topic}" }],
    },
    control: { socket },
  };
}

/** The program itself, as the service would run it; its log goes to data/gateway.log. */
async function startGateway(config: string) {
  const { createWriteStream } = await import("node:fs");
  const log = createWriteStream(join(directory, "gateway.log"));
  const child = spawn(process.execPath, ["dist/fieldgate.js", "run", "--config", config], {
    stdio: ["ignore", "inherit", "pipe"],
  });
  const exit = once(child, "exit").then(([code]) => Number(code ?? 1));
  const lines = createInterface({ input: child.stderr });
  let why = "";
  const port = await new Promise<number>((resolve, reject) => {
    lines.on("line", (line) => {
      log.write(`${line}\n`);
      const said = line.startsWith("{") ? JSON.parse(line) : {};
      if (said.message === "listening") resolve(said.port);
      if (said.message === "gateway did not start") why = `: ${said.error}`;
    });
    exit.then((code) => {
      const where = relative(process.cwd(), join(directory, "gateway.log"));
      reject(new Error(`the gateway ended with ${code}${why} (its log: ${where})`));
    }, reject);
  });
  return { port, exit, terminate: () => child.kill("SIGTERM") };
}

/** Shows the summary every second until the returned function is called. */
function show(port: number, cloud: DemoCloud): () => void {
  const isTerminal = process.stdout.isTTY === true;
  let before = { accepted: 0, uptimeMs: 0 };
  let drawn = 0;
  const draw = async () => {
    const status = (await ask(socket, "status").catch(() => null)) as GatewayStatus | null;
    if (status === null) return;
    const { accepted } = status.ledger.telemetry;
    const seconds = (status.uptimeMs - before.uptimeMs) / 1000;
    const perSecond = before.uptimeMs === 0 ? 0 : (accepted - before.accepted) / seconds;
    before = { accepted, uptimeMs: status.uptimeMs };
    const view = {
      status,
      perSecond,
      mqttSensors: 3,
      serialSensors: serialSensors.length,
      port,
      cloudPort: cloud.port,
      cloudReceived: cloud.received(),
    };
    if (!isTerminal) {
      console.log(demoLine(view));
      return;
    }
    const lines = demoScreen(view);
    process.stdout.write(`${drawn > 0 ? `\x1b[${drawn}A\x1b[J` : ""}${lines.join("\n")}\n`);
    drawn = lines.length;
  };
  void draw();
  const timer = setInterval(() => void draw(), 1000);
  return () => clearInterval(timer);
}

function ended(): Promise<number> {
  return new Promise((resolve) => {
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.once(signal, () => resolve(0));
  });
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(false));
    server.listen(port, "127.0.0.1", () => server.close(() => resolve(true)));
  });
}

main().then(
  (code) => process.exit(code),
  (error) => {
    console.error(error instanceof Error ? error.message : error);
    process.exit(1);
  },
);
