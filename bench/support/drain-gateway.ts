import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connectAsync } from "mqtt";
import { silentLog } from "../../src/base/log.ts";
import { systemClock } from "../../src/base/system-clock.ts";
import { levelJournal } from "../../src/journal/level-journal.ts";
import { cursorName } from "../../src/uplink/rules.ts";
import { PROGRAM, Program } from "../../test/support/program.ts";
import { cpuOf, type Drained } from "./drain-peers.ts";
import { DrainReceiver } from "./drain-receiver.ts";

export interface DrainedGateway extends Drained {
  /** Resident memory above that of the idle gateway, which has the same backlog and no cloud, at its highest. */
  readonly grownMiB: number;
  /** The part of it that is its own: without files that LevelDB maps, which the kernel takes back when it needs them. */
  readonly grownOwnMiB: number;
  /** From publishing an alarm at the gateway to its arrival at the cloud, while the backlog drained. */
  readonly alarmMs: readonly number[];
}

const SETTLE_MS = 3000;
const LOOK_MS = 50;
const DRAIN_MS_MAX = 900_000;
const ALARM_EVERY_MS = 10;
const ALARMS = 1000;
const NEVER = new AbortController().signal;

/** The real program with a backlog in its store, drained to a real mosquitto; alarms are published meanwhile. */
export async function drainGateway(
  messages: number,
  message: { readonly topic: string; readonly payload: Uint8Array },
  windowMax: number,
  nodeOptions: readonly string[] = [],
): Promise<DrainedGateway> {
  const directory = await mkdtemp(join(tmpdir(), "fieldgate-bench-"));
  const receiver = await DrainReceiver.make();
  await fill(join(directory, "store"), messages, message);
  const config = {
    gateway: { id: "gw-a", site: "plant-7" },
    store: { path: join(directory, "store") },
    listeners: [{ name: "bench", port: 0 }],
    uplink: {
      endpoints: [`mqtt://127.0.0.1:${receiver.broker.port}`],
      rules: [{ match: "alarm/#", lane: "alarm" }, { match: "#" }],
      windowMax,
      backoffFirstMs: 50,
      backoffMaxMs: 100,
    },
    control: { socket: join(directory, "control.sock") },
  };
  await writeFile(join(directory, "fieldgate.yaml"), JSON.stringify(config));
  const gateway = new Program(join(directory, "fieldgate.yaml"), [
    "/usr/bin/env",
    ...(await environmentOfUnit()),
    ...withOptions(PROGRAM, nodeOptions),
  ]);
  try {
    const port = await gateway.start();
    await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
    const idle = await memoryOf(gateway.pid);
    await receiver.begin();
    return await measure({ receiver, pid: gateway.pid, idle, port, messages });
  } finally {
    // A profile is written at the end.
    if (nodeOptions.length > 0) await gateway.terminate();
    await gateway.kill();
    await receiver.end();
    await rm(directory, { recursive: true, force: true });
  }
}

/** The first half alone, which says how fast it is; the second with alarms. */
async function measure(run: {
  readonly receiver: DrainReceiver;
  readonly pid: number;
  readonly idle: Memory;
  readonly port: number;
  readonly messages: number;
}): Promise<DrainedGateway> {
  const { receiver, pid, idle, messages } = run;
  const most = { total: 0, own: 0 };
  const look = async () => {
    const { total, own } = await memoryOf(pid);
    most.total = Math.max(most.total, total);
    most.own = Math.max(most.own, own);
  };
  const reaches = async (count: number) => {
    const deadlineMs = performance.now() + DRAIN_MS_MAX;
    while (receiver.received < count) {
      if (performance.now() > deadlineMs) throw new Error("the gateway does not drain");
      await look();
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    }
  };
  await reaches(1);
  const first = receiver.received;
  const used = await cpuOf(pid, receiver.broker.pid());
  await reaches(messages / 2);
  const [senderUs, receiverUs] = await used(receiver.received - first);
  const perSecond = receiver.perSecond(Math.max(messages / 2, receiver.received + 1));
  const alarms = new Alarms();
  await alarms.start(run.port, receiver.broker.port);
  await reaches(messages);
  const alarmMs = await alarms.stop();
  return {
    perSecond,
    senderUs,
    receiverUs,
    grownMiB: (most.total - idle.total) / 1024,
    grownOwnMiB: (most.own - idle.own) / 1024,
    alarmMs,
  };
}

/** Publishes at the gateway, and takes the time to the cloud. */
class Alarms {
  readonly #ms: number[] = [];
  #stop: () => Promise<void> = async () => {};

  async start(port: number, cloudPort: number): Promise<void> {
    const cloud = await connectAsync({ host: "127.0.0.1", port: cloudPort });
    cloud.on("message", (_topic, payload) =>
      this.#ms.push(performance.now() - Number(payload.toString())),
    );
    await cloud.subscribeAsync("alarm/#");
    const sensor = await connectAsync({ host: "127.0.0.1", port });
    let sent = 0;
    const timer = setInterval(() => {
      if (sent++ < ALARMS) sensor.publish("alarm/a", String(performance.now()), { qos: 1 });
    }, ALARM_EVERY_MS);
    this.#stop = async () => {
      clearInterval(timer);
      await sensor.endAsync(true);
      await cloud.endAsync(true);
    };
  }

  /** What arrived while the backlog drained. */
  async stop(): Promise<readonly number[]> {
    await this.#stop();
    return this.#ms;
  }
}

interface Memory {
  /** KiB. */
  readonly total: number;
  readonly own: number;
}

async function memoryOf(pid: number): Promise<Memory> {
  const text = await readFile(`/proc/${pid}/status`, "utf8");
  const of = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, "m").exec(text)?.[1]);
  return { total: of("VmRSS"), own: of("RssAnon") };
}

function withOptions(
  [node = "", ...rest]: readonly string[],
  options: readonly string[],
): readonly string[] {
  return [node, ...options, ...rest];
}

/** What the unit sets for every gateway that is a service. */
async function environmentOfUnit(): Promise<readonly string[]> {
  const unit = await readFile("systemd/fieldgate.service", "utf8");
  const set = unit.matchAll(/^Environment="?((?:NODE_OPTIONS|MALLOC_ARENA_MAX)=[^"\n]*)"?$/gm);
  return [...set].map(([, variable = ""]) => variable);
}

async function fill(
  path: string,
  messages: number,
  { topic, payload }: { readonly topic: string; readonly payload: Uint8Array },
): Promise<void> {
  const tools = { clock: systemClock, log: silentLog, random: Math.random };
  const journal = levelJournal({ path, bytesMax: 2 ** 31, durability: "fast" }, tools);
  await journal.start(NEVER);
  journal.cursor(cursorName("telemetry"));
  const message = { topic, payload, qos: 1, retain: false, properties: null } as const;
  for (let count = 0; count < messages; count++) {
    journal.append(message, 2, Date.now(), []);
    if (count % 500 === 499) await journal.committed();
  }
  await journal.stop();
}
