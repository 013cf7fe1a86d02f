/**
 * `node scripts/smoke.mjs`: does the bundle, as it is shipped, start, speak MQTT, acknowledge, stop and start again on its store? It talks
 * raw bytes, so that no library of ours can agree with itself.
 */
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { bundle, program } from "./bundle.mjs";
import { ensureNodeModules, fail } from "./node-modules.mjs";

const START_MS_MAX = 10_000;
const ANSWER_MS_MAX = 5000;
const STOP_MS_MAX = 5000;

/** MQTT 3.1.1: CONNECT with a clean session as "smoke"; PUBLISH of "x" to "smoke", QoS 1, packet identifier 7. */
const CONNECT = Buffer.from("101100044d5154540402003c0005736d6f6b65", "hex");
const CONNACK = Buffer.from("20020000", "hex");
const PUBLISH = Buffer.from("320a0005736d6f6b65000778", "hex");
const PUBACK = Buffer.from("40020007", "hex");
const DISCONNECT = Buffer.from("e000", "hex");

ensureNodeModules();
await bundle();
const folder = mkdtempSync(join(tmpdir(), "fieldgate-smoke-"));
process.once("exit", () => rmSync(folder, { recursive: true, force: true }));
const config = join(folder, "fieldgate.yaml");
writeFileSync(
  config,
  `store: { path: ${join(folder, "store")} }
listeners: [ { name: smoke, host: 127.0.0.1, port: 0 } ]
control: { socket: ${join(folder, "control.sock")} }
`,
);

helps();
await serves("an empty store");
await serves("the same store again");
console.log("smoke: passed");

function helps() {
  const { status, stdout, stderr } = spawnSync(process.execPath, [program, "--help"], {
    encoding: "utf8",
    timeout: START_MS_MAX,
  });
  if (status !== 0 || !stdout.includes("run")) {
    fail(`--help: exit code ${status}, printed:\n${stdout}${stderr}`);
  }
  console.log("smoke: --help");
}

/** Starts the gateway, publishes, and stops it with SIGTERM. */
async function serves(what) {
  const gateway = spawn(process.execPath, [program, "run", "--config", config], {
    stdio: ["ignore", "inherit", "pipe"],
  });
  const killed = () => gateway.kill("SIGKILL");
  process.once("exit", killed);
  const lines = [];
  const port = await inTime("listening", START_MS_MAX, listeningPort(gateway, lines), lines);
  await inTime("CONNACK and PUBACK", ANSWER_MS_MAX, publish(port), lines);
  gateway.kill("SIGTERM");
  const [code, signal] = await inTime("exit", STOP_MS_MAX, once(gateway, "exit"), lines);
  process.off("exit", killed);
  if (code !== 0) fail(`${what}: ended with ${signal ?? code}, logged:\n${lines.join("\n")}`);
  console.log(`smoke: run on ${what}`);
}

/** The port in the log line that says where the gateway listens. Log lines are collected in `lines`. */
function listeningPort(gateway, lines) {
  return new Promise((resolve, reject) => {
    createInterface({ input: gateway.stderr }).on("line", (line) => {
      lines.push(line);
      const port = line.startsWith("{") ? portIn(JSON.parse(line)) : undefined;
      if (port !== undefined) resolve(port);
    });
    gateway.once("exit", (code, signal) => reject(new Error(`ended with ${signal ?? code}`)));
  });
}

function portIn(entry) {
  return entry.message === "listening" && typeof entry.port === "number" ? entry.port : undefined;
}

async function publish(port) {
  const socket = connect(port, "127.0.0.1");
  await once(socket, "connect");
  for (const [request, answer] of [
    [CONNECT, CONNACK],
    [PUBLISH, PUBACK],
  ]) {
    socket.write(request);
    let received = Buffer.alloc(0);
    while (received.length < answer.length) {
      const [chunk] = await once(socket, "data");
      received = Buffer.concat([received, chunk]);
    }
    if (!received.equals(answer)) {
      throw new Error(`expected ${answer.toString("hex")}, received ${received.toString("hex")}`);
    }
  }
  socket.end(DISCONNECT);
}

async function inTime(what, deadlineMs, work, lines) {
  let timer;
  const late = new Promise((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`not within ${deadlineMs} ms`)), deadlineMs);
  });
  try {
    return await Promise.race([work, late]);
  } catch (error) {
    return fail(`${what}: ${error.message}; logged:\n${lines.join("\n")}`);
  } finally {
    clearTimeout(timer);
  }
}
