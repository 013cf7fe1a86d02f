import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { freePort } from "../support/free-port.ts";
import { until } from "../support/until.ts";
import type { BrokerUnderTest } from "./broker-under-test.ts";

/** How mosquitto keeps its memory: every half hour and at its end, as by default, or after every change. */
export const MOSQUITTO_MODES = {
  mosquitto: [],
  "mosquitto-autosave": ["autosave_on_changes true", "autosave_interval 1"],
} as const;
export type MosquittoMode = keyof typeof MOSQUITTO_MODES;

/** mosquitto with persistence, for comparison. It has no uplink of its own kind. */
export class MosquittoBroker implements BrokerUnderTest {
  readonly name: MosquittoMode;
  readonly cloud = null;
  readonly #folder: string;
  #child: ChildProcess | null = null;
  readonly #atExit = () => void this.#child?.kill("SIGKILL");

  constructor(folder: string, mode: MosquittoMode) {
    this.name = mode;
    this.#folder = folder;
  }

  async start(storePath: string): Promise<number> {
    const port = await freePort();
    mkdirSync(storePath, { recursive: true });
    const file = join(this.#folder, "mosquitto.conf");
    const lines = [
      `listener ${port} 127.0.0.1`,
      "allow_anonymous true",
      "user root",
      "max_queued_messages 0",
      "persistence true",
      `persistence_location ${storePath}/`,
      ...MOSQUITTO_MODES[this.name],
    ];
    writeFileSync(file, `${lines.join("\n")}\n`);
    const child = spawn("mosquitto", ["-c", file], { stdio: "ignore" });
    this.#child = child;
    process.once("exit", this.#atExit);
    await until("mosquitto listens", () => {
      if (child.exitCode !== null) throw new Error(`mosquitto ended with ${child.exitCode}`);
      return answers(port);
    });
    return port;
  }

  kill(): Promise<void> {
    return this.#end("SIGKILL");
  }

  terminate(): Promise<void> {
    return this.#end("SIGTERM");
  }

  reports(): readonly string[] {
    return [];
  }

  async imbalance(): Promise<null> {
    return null;
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    const child = this.#child;
    this.#child = null;
    process.off("exit", this.#atExit);
    if (child === null || child.exitCode !== null || child.signalCode !== null) return;
    const exit = once(child, "exit");
    child.kill(signal);
    await exit;
  }
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: "127.0.0.1" });
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });
}
