/**
 * `npm run bench`: the figures of the whole way. `npm run bench -- NAME... [OPTIONS]`: bench/NAME.ts, one after the other, each
 * with the options, which are all that follows the first word with a dash.
 * Absolute figures are of this machine at this moment; ratios are what to quote.
 */
import { readdirSync } from "node:fs";
import { cpus } from "node:os";
import { join } from "node:path";
import { bundle } from "../scripts/bundle.mjs";
import { runNode } from "../scripts/child.mjs";
import { ensureDebianPackages } from "../scripts/debian-packages.mjs";
import { ensureNodeModules, fail, root } from "../scripts/node-modules.mjs";

const STOP_MS_MAX = 10_000;
const PROGRAMS = { mosquitto: "mosquitto", gcc: "gcc", etcd: "etcd-server" };
const DEFAULT = ["main-job", "footprint"];

const words = process.argv.slice(2);
const optionsAt = words.findIndex((word) => word.startsWith("-"));
const names = optionsAt === -1 ? words : words.slice(0, optionsAt);
const options = words.slice(names.length);
const known = readdirSync(join(root, "bench"))
  .filter((file) => file.endsWith(".ts"))
  .map((file) => file.slice(0, -3));
const unknown = names.find((name) => !known.includes(name));
if (unknown !== undefined) fail(`there is no bench ${unknown}; there are ${known.join(", ")}`);
ensureNodeModules();
ensureDebianPackages(PROGRAMS);
await bundle();
console.log(`${cpus().length} x ${cpus()[0]?.model ?? "?"}, Node ${process.version}`);
for (const bench of names.length === 0 ? DEFAULT : names) {
  const argv = ["--import", "tsx", `bench/${bench}.ts`, ...options];
  const code = await runNode(argv, { stopMsMax: STOP_MS_MAX });
  if (code !== 0) process.exitCode = code;
}
