/**
 * How others are served while a broker is attacked: `npm run bench -- attacks [--seconds N] [--rounds N] [--only ATTACK,ATTACK]`
 *
 * One client publishes 500 messages a second at QoS 1 to another, through the program as it is shipped, its limits at their
 * defaults; an attacker in a process of its own, at another address, does its worst meanwhile. The bound is that of a broker with
 * a core to itself: the attacker is kept on the first one, the broker off it. The client shares the attacker's core and goes
 * before it, for it is the broker that is asked about. What the broker's core was for others meanwhile is said beside each figure
 * ("waited"): that much is the machine. Mosquitto, which keeps nothing and has no limits, is given the same for comparison.
 */
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { parseArgs } from "node:util";
import { hashPassword } from "../src/access/phc.ts";
import { type Subject, startOurs, startTheirs } from "./support/brokers.ts";
import { waitedMs } from "./support/cpu.ts";
import { figure, inTurns, median } from "./support/figures.ts";
import { mqload } from "./support/mqload.ts";
import { Targets } from "./support/targets.ts";

const ATTACKS = [
  "none",
  "flood",
  "spread",
  "loris",
  "middle",
  "guess",
  "crowd",
  "subscribe",
  "halfopen",
] as const;
const { values } = parseArgs({
  options: {
    seconds: { type: "string", default: "4" },
    rounds: { type: "string", default: "1" },
    only: { type: "string", default: ATTACKS.join(",") },
  },
});
const ITS_CORE = "0";
const OUR_CORES = `1-${cpus().length - 1}`;

const folder = await mkdtemp(join(tmpdir(), "fieldgate-attacks-"));
const usersFile = join(folder, "users");
const theirUsersFile = join(folder, "their-users");
const hash = await hashPassword(Buffer.from("right"));
await writeFile(usersFile, `# fieldgate users 1\nann:${hash}\n# end\n`);
execFileSync("mosquitto_passwd", ["-b", "-c", theirUsersFile, "ann", "right"]);
const ours = await startOurs("local", {}, { usersFile });
const theirs = await startTheirs([`password_file ${theirUsersFile}`]);
const isApart = cpus().length > 1;
if (!isApart) console.log("one core: the attacker takes its time from the broker");
for (const { pid } of isApart ? [ours, theirs] : []) {
  execFileSync("taskset", ["-acp", OUR_CORES, String(pid)]);
}
const P99_MS_MAX = 50;
const targets = new Targets();
try {
  for (const name of values.only.split(",")) {
    const rounds = Number(values.rounds);
    const [us = [], them = []] = await inTurns([ours, theirs], rounds, (each) => seen(name, each));
    const p99 = median(us.map(({ p99Ms }) => p99Ms));
    targets.below(`${name}: p99 of others`, p99, P99_MS_MAX, " ms", told(us));
    targets.tell("  of mosquitto", told(them));
    const missing = us.reduce((sum, run) => sum + run.missing, 0);
    targets.atMost(`${name}: messages missing`, missing, 0);
  }
  targets.print();
} finally {
  await ours.end();
  await theirs.end();
  await rm(folder, { recursive: true });
}

interface Seen {
  readonly medianMs: number;
  readonly p99Ms: number;
  readonly missing: number;
  /** Of the time the broker's main thread could have run, and others had its core. */
  readonly waited: number;
}

async function seen(name: string, { pid, port }: Subject): Promise<Seen> {
  const end = name === "none" ? async () => {} : await attack(name, port);
  const [beganMs, waitedBeforeMs] = [performance.now(), await waitedMs(pid)];
  const load = ["-m", "pair", "-P", 1, "-q", 1, "-r", 500, "-z", "-t", Number(values.seconds)];
  const run = await mqload("-p", port, ...load);
  const waited = ((await waitedMs(pid)) - waitedBeforeMs) / (performance.now() - beganMs);
  await end();
  return { medianMs: run.p50_us / 1000, p99Ms: run.p99_us / 1000, missing: run.missing, waited };
}

function told(runs: readonly Seen[]): string {
  const p99s = runs.map(({ p99Ms }) => p99Ms);
  const most =
    runs.length > 1 ? `, ${figure(Math.min(...p99s))} to ${figure(Math.max(...p99s))}` : "";
  const middle = figure(median(runs.map(({ medianMs }) => medianMs)));
  const waited = (100 * median(runs.map((run) => run.waited))).toFixed(0);
  return `${figure(median(p99s))} ms (median ${middle}${most}; waited ${waited} %)`;
}

/** Begins an attack; the returned function ends it. */
async function attack(name: string, port: number): Promise<() => Promise<void>> {
  const apart = isApart ? ["nice", "-n", "19", "taskset", "-c", ITS_CORE] : [];
  const script = ["bench/support/attacker.mjs", name, String(port)];
  const [program = "", ...argv] = [...apart, process.execPath, ...script];
  const child = spawn(program, argv, { stdio: ["pipe", "pipe", "inherit"] });
  const exit = once(child, "exit");
  await once(createInterface({ input: child.stdout }), "line");
  return async () => {
    child.kill("SIGKILL");
    await exit;
  };
}
