import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connectAsync } from "mqtt";
import { silentLog } from "../../src/base/log.ts";
import { systemClock } from "../../src/base/system-clock.ts";
import { ask } from "../../src/control/control-client.ts";
import type { GatewayStatus } from "../../src/gateway-status.ts";
import { levelJournal } from "../../src/journal/level-journal.ts";
import { cursorName } from "../../src/uplink/rules.ts";
import { startMosquitto } from "../../test/support/mosquitto.ts";
import { PROGRAM, Program } from "../../test/support/program.ts";
import { until } from "../../test/support/until.ts";

export interface DrainedGateway {
  readonly perSecond: number;
  /** Resident memory above that of the idle gateway, which has the same backlog and no cloud, at its highest. */
  readonly grownMiB: number;
  /** The part of it that is its own: without files that LevelDB maps, which the kernel takes back when it needs them. */
  readonly grownOwnMiB: number;
  /** From publishing an alarm at the gateway to its arrival at the cloud, while the backlog drained. */
  readonly alarmMs: readonly number[];
}

const SETTLE_MS = 3000;
const LOOK_MS = 50;
/** To answer costs the gateway memory too: seldom enough that it does not count. */
const ASK_MS = 2000;
const ALARM_EVERY_MS = 10;
const ALARMS = 1000;
const NEVER = new AbortController().signal;

/** The real program with a backlog in its store, drained to a real mosquitto; alarms are published meanwhile. */
export async function drainGateway(
  messages: number,
  message: { readonly topic: string; readonly payload: Uint8Array },
  windowMax: number,
): Promise<DrainedGateway> {
  const directory = await mkdtemp(join(tmpdir(), "fieldgate-bench-"));
  const cloud = await startMosquitto({ config: ["log_type error"] });
  await cloud.kill();
  await fill(join(directory, "store"), messages, message);
  const config = {
    gateway: { id: "gw-a", site: "plant-7" },
    store: { path: join(directory, "store") },
    listeners: [{ name: "bench", port: 0 }],
    uplink: {
      endpoints: [`mqtt://127.0.0.1:${cloud.port}`],
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
    ...PROGRAM,
  ]);
  try {
    const port = await gateway.start();
    await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
    const idle = await memoryOf(gateway.pid);
    await cloud.start();
    const status = async () =>
      (await ask(join(directory, "control.sock"), "status")) as GatewayStatus;
    return await measure({ status, pid: gateway.pid, idle, port, cloudPort: cloud.port });
  } finally {
    await gateway.kill();
    await cloud.end();
    await rm(directory, { recursive: true, force: true });
  }
}

async function measure(run: {
  readonly status: () => Promise<GatewayStatus>;
  readonly pid: number;
  readonly idle: Memory;
  readonly port: number;
  readonly cloudPort: number;
}): Promise<DrainedGateway> {
  const { status, pid, idle } = run;
  await until("it drains", async () => ((await status()).uplink?.delivered ?? 0) > 0, 60_000);
  const beganMs = performance.now();
  const began = (await status()).uplink?.delivered ?? 0;
  const alarms = new Alarms();
  await alarms.start(run.port, run.cloudPort);
  let [most, mostOwn] = [0, 0];
  let last = { delivered: began, ms: beganMs };
  for (let askedMs = beganMs; ; ) {
    const { total, own } = await memoryOf(pid);
    [most, mostOwn] = [Math.max(most, total), Math.max(mostOwn, own)];
    const nowMs = performance.now();
    if (nowMs - askedMs >= ASK_MS) {
      askedMs = nowMs;
      const { ledger, uplink } = await status();
      if (ledger.telemetry.queued === 0) break;
      last = { delivered: uplink?.delivered ?? 0, ms: nowMs };
    }
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
  // Up to the last look at which something still waited: by the next one it may have had nothing to do for a while.
  const seconds = (last.ms - beganMs) / 1000;
  const delivered = last.delivered - began;
  const alarmMs = await alarms.stop();
  return {
    perSecond: delivered / seconds,
    grownMiB: (most - idle.total) / 1024,
    grownOwnMiB: (mostOwn - idle.own) / 1024,
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
