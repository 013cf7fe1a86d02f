import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { startMosquitto } from "../../test/support/mosquitto.ts";
import { Program } from "../../test/support/program.ts";
import { within } from "../../test/support/within.ts";

/** A broker that is measured, in a process of its own. */
export interface Subject {
  readonly name: string;
  readonly port: number;
  readonly pid: number;
  /** Resolves when the process is gone, and its files are. */
  end(): Promise<void>;
}

const START_MS_MAX = 20_000;

/**
 * The program as it is shipped, on a store of its own.
 * @param mqtt what differs from the default in that section of the configuration
 * @param access the same of that section
 */
export async function startOurs(
  durability: "fast" | "local",
  mqtt: Readonly<Record<string, unknown>> = {},
  access: Readonly<Record<string, unknown>> = {},
): Promise<Subject> {
  const directory = await mkdtemp(join(tmpdir(), "fieldgate-bench-"));
  const path = join(directory, "fieldgate.yaml");
  const config = {
    store: { path: join(directory, "store"), durability },
    listeners: [{ name: "bench", port: 0 }],
    mqtt,
    access,
    control: { socket: join(directory, "control.sock") },
  };
  await writeFile(path, JSON.stringify(config));
  const program = new Program(path);
  const port = await program.start();
  return {
    name: `fieldgate, ${durability}`,
    port,
    pid: program.pid,
    async end() {
      await program.terminate();
      await rm(directory, { recursive: true, force: true });
    },
  };
}

/** Debian's mosquitto: nothing kept on disk, no limit on what is in flight, no waiting for fuller segments. */
export async function startTheirs(config: readonly string[] = []): Promise<Subject> {
  const broker = await startMosquitto({
    config: ["set_tcp_nodelay true", "log_type error", ...config],
  });
  return { name: "mosquitto", port: broker.port, pid: broker.pid(), end: () => broker.end() };
}

/** Stock aedes on memory. */
export function startAedes(): Promise<Subject> {
  return startScript("aedes", "bench/support/stock-aedes.mjs");
}

/** A server that takes TCP connections and does nothing else: what Node itself costs. */
export function startBareSockets(): Promise<Subject> {
  return startScript("bare sockets", "bench/support/bare-sockets.mjs");
}

/** A script for Node that prints the port on which it listens. */
async function startScript(name: string, script: string): Promise<Subject> {
  const child = spawn(process.execPath, [script], { stdio: ["ignore", "pipe", "inherit"] });
  const [line] = await within(
    START_MS_MAX,
    `${script} did not say its port`,
    once(createInterface({ input: child.stdout }), "line"),
  );
  return { name, port: Number(line), pid: child.pid ?? -1, end: () => ended(child) };
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exit = once(child, "exit");
  child.kill("SIGKILL");
  await exit;
}
