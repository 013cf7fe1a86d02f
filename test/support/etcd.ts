import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { cp, mkdtemp, rm } from "node:fs/promises";
import { createConnection } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort } from "./free-port.ts";
import { until } from "./until.ts";

/** One member of a real etcd on loopback, for tests: can be killed, stopped and started again on the same port. */
export interface EtcdNode {
  readonly port: number;
  start(): Promise<void>;
  kill(signal?: NodeJS.Signals): Promise<void>;
  /** SIGSTOP and SIGCONT: it hangs, its connections stay. */
  pause(): void;
  resume(): void;
}

export interface EtcdServers {
  readonly nodes: readonly EtcdNode[];
  readonly endpoints: readonly string[];
  /** Kills all that run, and starts them again without their data. */
  wipe(): Promise<void>;
  /**
   * Kills all that run, copies their data, and starts them again. What is returned kills them, and after `downMs` starts them with what they
   * had then.
   */
  keep(): Promise<(downMs: number) => Promise<void>>;
  /** Kills all that run, and removes their data. */
  end(): Promise<void>;
}

/** From Debian's package etcd-server, or wherever it is in the PATH. */
const PROGRAM = "etcd";
/** Half of etcd's default: TTLs of 1 s are granted, and a new leader is there within a second. */
const ELECTION_MS = 500;

/** Starts `count` members on free ports, with their data in a temporary folder. */
export async function startEtcd(count = 1): Promise<EtcdServers> {
  try {
    execFileSync(PROGRAM, ["--version"], { stdio: "ignore" });
  } catch (cause) {
    throw new Error("etcd is not installed: apt-get install etcd-server", { cause });
  }
  const folder = await mkdtemp(join(tmpdir(), "fieldgate-etcd-"));
  const members: Member[] = [];
  for (let index = 0; index < count; index++) {
    members.push(new Member(`n${index}`, folder, await freePort(), await freePort()));
  }
  const cluster = members.map(({ name, peer }) => `${name}=${peer}`).join(",");
  for (const member of members) member.cluster = cluster;
  const startAll = () => Promise.all(members.map((member) => member.start()));
  const killAll = () => Promise.all(members.map((member) => member.kill()));
  await startAll();
  return {
    nodes: members,
    endpoints: members.map(({ port }) => `http://127.0.0.1:${port}`),
    async wipe() {
      await killAll();
      for (const { data } of members) await rm(data, { recursive: true, force: true });
      await startAll();
    },
    async keep() {
      await killAll();
      const copy = join(await mkdtemp(join(folder, "kept-")), "data");
      const copied = members.map(({ name, data }) => ({ data, kept: join(copy, name) }));
      for (const { data, kept } of copied) await cp(data, kept, { recursive: true });
      await startAll();
      return async (downMs) => {
        await killAll();
        for (const { data, kept } of copied) {
          await rm(data, { recursive: true, force: true });
          await cp(kept, data, { recursive: true });
        }
        await new Promise((resolve) => setTimeout(resolve, downMs));
        await startAll();
      };
    },
    async end() {
      await killAll();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

class Member implements EtcdNode {
  readonly name: string;
  readonly port: number;
  readonly peer: string;
  readonly data: string;
  cluster = "";
  #child: ChildProcess | null = null;
  #log = "";

  constructor(name: string, folder: string, port: number, peerPort: number) {
    this.name = name;
    this.port = port;
    this.peer = `http://127.0.0.1:${peerPort}`;
    this.data = join(folder, name);
  }

  async start(): Promise<void> {
    const client = `http://127.0.0.1:${this.port}`;
    const options = {
      name: this.name,
      "data-dir": this.data,
      "listen-client-urls": client,
      "advertise-client-urls": client,
      "listen-peer-urls": this.peer,
      "initial-advertise-peer-urls": this.peer,
      "initial-cluster": this.cluster,
      "heartbeat-interval": ELECTION_MS / 10,
      "election-timeout": ELECTION_MS,
      "log-level": "error",
      logger: "zap",
    };
    const argv = Object.entries(options).map(([name, value]) => `--${name}=${value}`);
    // The environment may hold settings of etcd's own.
    const child = spawn(PROGRAM, argv, {
      env: { PATH: process.env["PATH"] },
      stdio: ["ignore", "ignore", "pipe"],
    });
    this.#child = child;
    child.stderr.on("data", (chunk) => {
      this.#log = (this.#log + chunk).slice(-65_536);
    });
    await until("etcd serves", async () => {
      if (child.exitCode !== null) throw new Error(`etcd ended: ${this.#log}`);
      return answers(this.port);
    });
  }

  async kill(signal: NodeJS.Signals = "SIGKILL"): Promise<void> {
    const child = this.#child;
    this.#child = null;
    if (child === null || child.exitCode !== null || child.signalCode !== null) return;
    const exit = once(child, "exit");
    child.kill(signal);
    await exit;
  }

  pause(): void {
    this.#child?.kill("SIGSTOP");
  }

  resume(): void {
    this.#child?.kill("SIGCONT");
  }
}

/** etcd opens its client port when it has a leader. */
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
