import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { createConnection } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort } from "./free-port.ts";
import { until } from "./until.ts";

/** Debian's own starter in /usr/sbin changes the user; this one does not. */
const PROGRAM = "/usr/lib/rabbitmq/bin/rabbitmq-server";
const START_MS_MAX = 180_000;
const COOKIE = "fieldgatetest";

/** One node of a cluster: its MQTT listener on loopback. */
export interface RabbitNode {
  readonly port: number;
  /** What it has printed. */
  readonly log: () => string;
  start(): Promise<void>;
  kill(): Promise<void>;
}

export interface RabbitCluster {
  readonly nodes: readonly RabbitNode[];
  /** Kills what runs and removes the directories. */
  end(): Promise<void>;
}

/**
 * A real RabbitMQ cluster on loopback, with its MQTT plug-in (3.1.1). Nodes, their port mapper and all their files are
 * the test's own: ports that are free, a directory below the temporary one.
 */
export async function startRabbitCluster(size: number): Promise<RabbitCluster> {
  const directory = await mkdtemp(join(tmpdir(), "fieldgate-rabbitmq-"));
  await writeFile(join(directory, ".erlang.cookie"), COOKIE, { mode: 0o400 });
  const mapperPort = await freePort();
  const mapper = spawn("epmd", ["-address", "127.0.0.1", "-port", String(mapperPort)], {
    stdio: "ignore",
  });
  const names = Array.from({ length: size }, (_, index) => `fg${index + 1}@localhost`);
  const nodes: RabbitNode[] = [];
  const cluster: RabbitCluster = {
    nodes,
    async end() {
      await Promise.all(nodes.map((node) => node.kill()));
      await ended(mapper);
      await rm(directory, { recursive: true, force: true });
    },
  };
  try {
    // Each looks for those before it: the first one waits for nobody.
    for (const [index, name] of names.entries()) {
      nodes.push(await nodeOf(name, names.slice(0, index + 1), directory, mapperPort));
    }
    for (const node of nodes) await node.start();
  } catch (error) {
    await cluster.end();
    throw error;
  }
  return cluster;
}

async function nodeOf(
  name: string,
  names: readonly string[],
  directory: string,
  mapperPort: number,
): Promise<RabbitNode> {
  const home = join(directory, name);
  const [port, amqpPort, distPort] = [await freePort(), await freePort(), await freePort()];
  await mkdir(home);
  const lines = [
    `listeners.tcp.1 = 127.0.0.1:${amqpPort}`,
    `mqtt.listeners.tcp.1 = 127.0.0.1:${port}`,
    "mqtt.allow_anonymous = true",
    "cluster_formation.peer_discovery_backend = classic_config",
    ...names.map((each, index) => `cluster_formation.classic_config.nodes.${index + 1} = ${each}`),
    "log.console = true",
    "log.console.level = warning",
    "log.file = false",
  ];
  await writeFile(join(home, "rabbitmq.conf"), `${lines.join("\n")}\n`);
  await writeFile(join(home, "enabled_plugins"), "[rabbitmq_mqtt].\n");
  const env = {
    PATH: process.env["PATH"],
    HOME: directory,
    ERL_EPMD_PORT: String(mapperPort),
    ERL_EPMD_ADDRESS: "127.0.0.1",
    RABBITMQ_NODENAME: name,
    RABBITMQ_DIST_PORT: String(distPort),
    RABBITMQ_NODE_PORT: String(amqpPort),
    RABBITMQ_MNESIA_BASE: join(home, "mnesia"),
    RABBITMQ_LOG_BASE: join(home, "log"),
    RABBITMQ_CONFIG_FILE: join(home, "rabbitmq.conf"),
    RABBITMQ_ENABLED_PLUGINS_FILE: join(home, "enabled_plugins"),
    RABBITMQ_CONF_ENV_FILE: join(home, "none"),
    RABBITMQ_GENERATED_CONFIG_DIR: join(home, "generated"),
    RABBITMQ_FEATURE_FLAGS_FILE: join(home, "feature_flags"),
    RABBITMQ_PID_FILE: join(home, "pid"),
    // Two cores are shared by everything: no busy waiting.
    RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS: "+S 1:1 +sbwt none +sbwtdcpu none +sbwtdio none",
  };
  let child: ChildProcess | null = null;
  let log = "";
  return {
    port,
    log: () => log,
    async start() {
      // A group of its own: the starter is a shell, and what it starts must end with it.
      const running = spawn(PROGRAM, [], {
        env,
        stdio: ["ignore", "pipe", "pipe"],
        detached: true,
      });
      child = running;
      for (const stream of [running.stdout, running.stderr]) {
        stream.on("data", (chunk) => {
          log = (log + chunk).slice(-65_536);
        });
      }
      await until(
        `${name} listens`,
        () => {
          if (running.exitCode !== null || running.signalCode !== null)
            throw new Error(`${name} ended: ${log}`);
          return answers(port);
        },
        START_MS_MAX,
      );
    },
    async kill() {
      const running = child;
      child = null;
      if (running === null) return;
      await ended(running, -(running.pid ?? 0));
      // Its Erlang ends after the shell that started it, and answers until then.
      await until(`${name} is gone`, async () => !(await answers(port)));
    },
  };
}

async function ended(child: ChildProcess, pid = child.pid): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null || !pid) return;
  const exit = once(child, "exit");
  process.kill(pid, "SIGKILL");
  await exit;
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
