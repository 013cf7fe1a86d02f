/**
 * What the gateway costs while it does nothing: `npm run bench -- footprint [--rounds N] [--idle SECONDS]`
 *
 * Start: from spawning the program to its first CONNACK, with an empty store and with the store of the run before, beside a
 * bare `node -e 0`, in turns; then with a million messages that wait for a session. The very first start, before any compiled code is kept, is told apart:
 * a package has made it when it was installed. Commands that only ask: from spawning them to their end, in turns with a bare node. Memory and CPU: of the
 * process at rest, from /proc, after it has been idle.
 */
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { silentLog } from "../src/base/log.ts";
import { systemClock } from "../src/base/system-clock.ts";
import { levelJournal } from "../src/journal/level-journal.ts";
import { freePort } from "../test/support/free-port.ts";
import { cpuMs } from "./support/cpu.ts";
import { median } from "./support/figures.ts";
import { Targets } from "./support/targets.ts";

const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "10" },
    idle: { type: "string", default: "30" },
  },
});
const rounds = Number(values.rounds);
const targets = new Targets(true);
const QUEUED = 1_000_000;
const QUEUED_ROUNDS = 3;
const SESSION = "waits";
const CONNECT = Buffer.from([0x10, 13, 0, 4, 77, 81, 84, 84, 4, 2, 0, 0, 0, 1, 98]);
/** Its session outlives the connection. */
const CONNECT_TO_STAY = Buffer.from([
  0x10,
  17,
  0,
  4,
  77,
  81,
  84,
  84,
  4,
  0,
  0,
  0,
  0,
  5,
  ...Buffer.from(SESSION),
]);
const IDLE_MS = 1000 * Number(values.idle);
const COMPILED = "dist/compile-cache";

const directory = await mkdtemp(join(tmpdir(), "fieldgate-footprint-"));
const port = await freePort();
const config = join(directory, "fieldgate.yaml");
const keys = {
  store: { path: join(directory, "store") },
  listeners: [{ name: "bench", port }],
  control: { socket: join(directory, "control.sock") },
  log: { level: "error" },
};
await writeFile(config, text(keys));

const unkept = await firstOfAll();
const bare: number[] = [];
const empty: number[] = [];
const again: number[] = [];
for (let round = 0; round < rounds; round++) {
  bare.push(await bareStart());
  await rm(join(directory, "store"), { recursive: true, force: true });
  for (const times of [empty, again]) {
    const { child, ms } = await start();
    times.push(ms);
    await stop(child);
  }
}
const base = median(bare);
targets.tell("bare node -e 0", `${base.toFixed(0)} ms`);
sayStart("first CONNACK, new store", empty);
sayStart("first CONNACK, store of a run before", again);
targets.tell("first CONNACK, first start of all", `${unkept.toFixed(0)} ms, of one start`);

const queued: number[] = [];
const none: number[] = [];
const filled = await start();
if (!(await accepted(CONNECT_TO_STAY))) throw new Error("the session was not made");
await stop(filled.child);
await fill();
for (let round = 0; round < QUEUED_ROUNDS; round++) {
  for (const [path, times] of [
    ["store", queued],
    ["empty", none],
  ] as const) {
    await writeFile(config, text({ ...keys, store: { path: join(directory, path) } }));
    const { child, ms } = await start();
    times.push(ms);
    await stop(child);
  }
}
const more = median(queued) - median(none);
targets.atMost(
  `first CONNACK, ${QUEUED} queued`,
  more,
  1000,
  " ms more",
  `${median(queued).toFixed(0)} ms, ${more.toFixed(0)} ms more than without (medians of ${QUEUED_ROUNDS})`,
);
await packageSizes();

const { child } = await start();
const pid = child.pid ?? 0;
await sleep(3000);
await asking();
const before = await cpuMs(pid);
await sleep(IDLE_MS);
const share = ((await cpuMs(pid)) - before) / IDLE_MS;
targets.atMost("resident memory at rest", await residentMiB(pid), 75, " MiB");
targets.atMost("CPU at rest", share * 100, 0.5, " % of a core");
await stop(child);
await rm(directory, { recursive: true, force: true });
targets.print();

/** As people write it: each key of the document on a line of its own. */
function text(document: object): string {
  const lines = Object.entries(document).map(
    ([key, value]) => `${key}: ${JSON.stringify(value)}\n`,
  );
  return lines.join("");
}

/** Puts a million messages into the store that wait for a session; no gateway has it open. */
async function fill(): Promise<void> {
  const journal = levelJournal(
    { path: join(directory, "store"), bytesMax: 2 ** 31, durability: "fast" },
    { clock: systemClock, log: silentLog, random: Math.random },
  );
  await journal.start(new AbortController().signal);
  const queue = journal.queue(SESSION);
  const payload = Buffer.alloc(64, "x");
  for (let count = 1; count <= QUEUED; count++) {
    const message = {
      topic: "bench/queued",
      payload,
      qos: 1,
      retain: false,
      properties: null,
    } as const;
    journal.append(message, 0, Date.now(), [queue]);
    if (count % 1000 === 0) await journal.committed();
  }
  await journal.stop();
}

/** What `npm run package` says of each kind of machine. */
async function packageSizes(): Promise<void> {
  const argv = ["scripts/package.mjs", "--fast", "--out", join(directory, "packages")];
  const { stdout, stderr, status } = spawnSync(process.execPath, argv, { encoding: "utf8" });
  if (status !== 0) throw new Error(stderr);
  for (const [, name, size] of stdout.matchAll(/_(\w+)\.deb: .*installed (.*)/g)) {
    targets.tell(`installed package, ${name}`, `${size}`);
  }
}

/** A start, against that of a bare node. */
function sayStart(what: string, times: readonly number[]): void {
  const [ms, ratio] = [median(times), median(times) / base];
  const told = `${ms.toFixed(0)} ms, ${ratio.toFixed(1)} times bare node (medians of ${rounds})`;
  targets.atMost(what, ratio, 3, " times", told);
}

/** How long the very first start takes; afterwards its compiled code is kept. */
async function firstOfAll(): Promise<number> {
  await rm(COMPILED, { recursive: true, force: true });
  const { child, ms } = await start();
  const isKept = (name: string) => name.startsWith("run-") && !name.includes(".");
  for (let waited = 0; !(await readdir(COMPILED).catch(() => [])).some(isKept); waited += 100) {
    if (waited > 30_000) throw new Error(`no compiled code in ${COMPILED}`);
    await sleep(100);
  }
  await stop(child);
  return ms;
}

/** Commands that ask a gateway at rest, found by its configuration. */
async function asking(): Promise<void> {
  const commands = ["status", "ledger", "clients", "queue", "uplink", "retained", "site"];
  const bareTimes: number[] = [];
  const times = new Map(commands.map((name) => [name, [] as number[]]));
  for (let round = 0; round < rounds; round++) {
    bareTimes.push(await bareStart());
    for (const name of commands) {
      const began = performance.now();
      spawnSync(process.execPath, ["dist/fieldgate.js", name, "--config", config]);
      times.get(name)?.push(performance.now() - began);
    }
  }
  const bareMs = median(bareTimes);
  for (const [name, each] of times) {
    const ratio = median(each) / bareMs;
    const told = `${median(each).toFixed(0)} ms, ${ratio.toFixed(2)} times bare node`;
    targets.atMost(`fieldgate ${name}`, ratio, 2, " times", told);
  }
}

async function start() {
  const began = performance.now();
  const child = spawn(process.execPath, ["dist/fieldgate.js", "run", "--config", config], {
    stdio: ["ignore", "inherit", "inherit"],
  });
  while (!(await accepted())) {
    if (child.exitCode !== null) throw new Error(`the gateway ended with ${child.exitCode}`);
    await sleep(1);
  }
  return { child, ms: performance.now() - began };
}

/** Whether a CONNECT is answered with CONNACK 0 now. */
function accepted(bytes = CONNECT): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: "127.0.0.1", port, noDelay: true });
    socket.on("connect", () => socket.write(bytes));
    socket.on("data", (bytes) => {
      resolve(bytes[0] === 0x20 && bytes[3] === 0);
      socket.destroy();
    });
    socket.on("error", () => resolve(false));
    socket.on("close", () => resolve(false));
  });
}

async function stop(child: ReturnType<typeof spawn>): Promise<void> {
  const exit = once(child, "exit");
  child.kill("SIGTERM");
  await exit;
}

async function bareStart(): Promise<number> {
  const began = performance.now();
  spawnSync(process.execPath, ["-e", "0"]);
  return performance.now() - began;
}

async function residentMiB(pid: number): Promise<number> {
  const kib = /VmRSS:\s+(\d+)/.exec(await readFile(`/proc/${pid}/status`, "utf8"))?.[1];
  return Number(kib) / 1024;
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
