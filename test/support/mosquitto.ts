import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createConnection } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort } from "./free-port.ts";

/** Where Debian puts it; elsewhere it must be on the PATH. */
const PROGRAMS = ["/usr/sbin/mosquitto", "mosquitto"];
const START_MS_MAX = 10_000;

/** A real mosquitto on loopback, for tests: can be killed and started again on the same port. */
export interface Mosquitto {
  readonly host: "127.0.0.1";
  readonly port: number;
  /** What it has logged. */
  readonly log: () => string;
  /** Of the process that runs; -1 when none does. */
  readonly pid: () => number;
  start(): Promise<void>;
  kill(signal?: NodeJS.Signals): Promise<void>;
  /** Kills it if it runs, and removes its directory. */
  end(): Promise<void>;
}

export interface MosquittoOptions {
  /** Lines of its configuration for the listener and the broker. */
  readonly config?: readonly string[];
  /** Keeps sessions and messages over a restart, written every thousand changes. */
  readonly persistent?: boolean;
}

/** Starts mosquitto on a free port. Messages in flight are not limited unless the options say so. */
export async function startMosquitto(options: MosquittoOptions = {}): Promise<Mosquitto> {
  const program = findProgram();
  const directory = await mkdtemp(join(tmpdir(), "fieldgate-mosquitto-"));
  const port = await freePort();
  const config = [
    `listener ${port} 127.0.0.1`,
    "allow_anonymous true",
    "max_inflight_messages 0",
    "max_queued_messages 0",
    "user root",
    ...(options.persistent === true
      ? [
          "persistence true",
          `persistence_location ${directory}/`,
          "autosave_on_changes true",
          "autosave_interval 1000",
        ]
      : ["persistence false"]),
    ...(options.config ?? []),
  ];
  const file = join(directory, "mosquitto.conf");
  await writeFile(file, `${config.join("\n")}\n`);
  let child: ChildProcess | null = null;
  let log = "";

  const broker: Mosquitto = {
    host: "127.0.0.1",
    port,
    log: () => log,
    pid: () => child?.pid ?? -1,
    async start() {
      const running = spawn(program, ["-c", file], { stdio: ["ignore", "pipe", "pipe"] });
      child = running;
      for (const stream of [running.stdout, running.stderr]) {
        stream.on("data", (chunk) => {
          log = (log + chunk).slice(-65_536);
        });
      }
      await untilListening(running, port, () => log);
    },
    async kill(signal = "SIGKILL") {
      const running = child;
      child = null;
      if (running === null || running.exitCode !== null || running.signalCode !== null) return;
      running.kill(signal);
      await once(running, "exit");
    },
    async end() {
      await broker.kill();
      await rm(directory, { recursive: true, force: true });
    },
  };
  await broker.start();
  return broker;
}

function findProgram(): string {
  for (const program of PROGRAMS) {
    try {
      execFileSync(program, ["-h"], { stdio: "ignore" });
      return program;
    } catch (error) {
      // It exits with 1 or 3 after printing its help: then it is there.
      if ((error as NodeJS.ErrnoException).code !== "ENOENT") return program;
    }
  }
  throw new Error("mosquitto is not installed: apt-get install -y mosquitto");
}

async function untilListening(child: ChildProcess, port: number, log: () => string): Promise<void> {
  const deadline = performance.now() + START_MS_MAX;
  while (performance.now() < deadline) {
    if (child.exitCode !== null) throw new Error(`mosquitto ended: ${log()}`);
    if (await answers(port)) return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  throw new Error(`mosquitto does not listen after ${START_MS_MAX} ms: ${log()}`);
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createConnection({ host: "127.0.0.1", port });
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });
}
