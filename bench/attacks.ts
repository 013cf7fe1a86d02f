/**
 * How others are served while a broker is attacked: `npm run bench -- attacks [--seconds N]`
 *
 * One client publishes 500 messages a second at QoS 1 to another, through the program as it is shipped, its limits at their
 * defaults; an attacker in a process of its own, at another address, does its worst meanwhile. The bound is that of a broker with
 * a core to itself: the attacker is kept on the first one, the program off it.
 */
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { parseArgs } from "node:util";
import { hashPassword } from "../src/access/phc.ts";
import { startOurs } from "./support/brokers.ts";
import { figure } from "./support/figures.ts";
import { mqload } from "./support/mqload.ts";
import { Targets } from "./support/targets.ts";

const { values } = parseArgs({ options: { seconds: { type: "string", default: "5" } } });
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
const ITS_CORE = "0";
const OUR_CORES = `1-${cpus().length - 1}`;

const folder = await mkdtemp(join(tmpdir(), "fieldgate-attacks-"));
const usersFile = join(folder, "users");
const hash = await hashPassword(Buffer.from("right"));
await writeFile(usersFile, `# fieldgate users 1\nann:${hash}\n# end\n`);
const subject = await startOurs("local", {}, { usersFile });
const isApart = cpus().length > 1;
if (isApart) execFileSync("taskset", ["-acp", OUR_CORES, String(subject.pid)]);
else console.log("one core: the attacker takes its time from the broker");
const P99_MS_MAX = 50;
const targets = new Targets();
try {
  for (const name of ATTACKS) {
    const end = name === "none" ? async () => {} : await attack(name);
    const load = ["-m", "pair", "-P", 1, "-q", 1, "-r", 500];
    const seen = await mqload("-p", subject.port, ...load, "-t", Number(values.seconds));
    await end();
    const [median, p99] = [seen.p50_us / 1000, seen.p99_us / 1000];
    const told = `${figure(p99)} ms (median ${figure(median)})`;
    targets.below(`${name}: p99 of others`, p99, P99_MS_MAX, " ms", told);
    targets.atMost(`${name}: messages missing`, seen.missing, 0);
  }
  targets.print();
} finally {
  await subject.end();
  await rm(folder, { recursive: true });
}

/** Begins an attack; the returned function ends it. */
async function attack(name: string): Promise<() => Promise<void>> {
  const apart = isApart ? ["taskset", "-c", ITS_CORE] : [];
  const script = ["bench/support/attacker.mjs", name, String(subject.port)];
  const [program = "", ...argv] = [...apart, process.execPath, ...script];
  const child = spawn(program, argv, { stdio: ["pipe", "pipe", "inherit"] });
  const exit = once(child, "exit");
  await once(createInterface({ input: child.stdout }), "line");
  return async () => {
    child.kill("SIGKILL");
    await exit;
  };
}
