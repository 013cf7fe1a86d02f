/**
 * `node scripts/matrix.mjs [--node MAJOR] [ARGUMENT OF npm test ...]`: the same tests, with the same node_modules (the native
 * packages use N-API), under each Node that we support, or under one of them. The binaries come from the npm registry, as the packages that the package
 * `node` stands for: one a platform, named directly because install scripts are not run.
 */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import { ensureNodeModules, fail, npmInstall, root } from "./node-modules.mjs";

const SUPPORTED = [20, 22, 24];
const CACHE = join(root, "node_modules/.cache/matrix");
const TOTAL = /^(?:ℹ|#) (tests|pass|fail|cancelled|skipped) (\d+)$/gm;

const { only, rest } = readArguments(process.argv.slice(2));
ensureNodeModules();
const results = [];
for (const major of only === null ? SUPPORTED : [only]) {
  const folder = nodeFolder(major);
  const version = spawnSync(join(folder, "node"), ["--version"], { encoding: "utf8" }).stdout;
  console.error(`running the tests under Node ${version.trim()} ...`);
  results.push({ version: version.trim(), ...runTests(major, folder) });
}
console.log("Node        tests   pass   fail  cancelled  skipped  seconds");
for (const { version, totals, seconds } of results) {
  const figure = (name, width) => String(totals.get(name) ?? "-").padStart(width);
  console.log(
    `${version.padEnd(10)}${figure("tests", 7)}${figure("pass", 7)}${figure("fail", 7)}` +
      `${figure("cancelled", 11)}${figure("skipped", 9)}${seconds.toFixed(1).padStart(9)}`,
  );
}
process.exitCode = results.every(({ status }) => status === 0) ? 0 : 1;

function readArguments([first, second, ...others]) {
  if (first !== "--node") return { only: null, rest: process.argv.slice(2) };
  const only = Number(second);
  if (!SUPPORTED.includes(only)) fail(`--node is one of ${SUPPORTED.join(", ")}`);
  return { only, rest: others };
}

/** The folder with the newest `node` of a major version, installed when it is not there. */
function nodeFolder(major) {
  const platform = process.platform === "win32" ? "win" : process.platform;
  const name = `node-${platform}-${process.arch}`;
  const prefix = join(CACHE, `node-${major}`);
  const folder = join(prefix, "node_modules", name, "bin");
  if (existsSync(join(folder, "node"))) return folder;
  mkdirSync(prefix, { recursive: true });
  console.error(`installing ${name}@${major} ...`);
  npmInstall("--prefix", prefix, `${name}@${major}`);
  return folder;
}

function runTests(major, folder) {
  const started = performance.now();
  const { status, stdout, stderr } = spawnSync(
    join(folder, "node"),
    ["scripts/test.mjs", ...rest],
    {
      cwd: root,
      encoding: "utf8",
      maxBuffer: 2 ** 28,
      // What the tests start as `node` is the same Node.
      env: { ...process.env, PATH: `${folder}${delimiter}${process.env["PATH"]}` },
      stdio: ["ignore", "pipe", "pipe"],
    },
  );
  const log = join(CACHE, `node-${major}.log`);
  writeFileSync(log, stdout + stderr);
  if (status !== 0)
    console.log(`Node ${major} failed; the whole log is in ${log}:\n${tail(stdout)}${stderr}`);
  const totals = new Map([...stdout.matchAll(TOTAL)].map(([, name, count]) => [name, count]));
  return { status, totals, seconds: (performance.now() - started) / 1000 };
}

function tail(text) {
  return text.split("\n").slice(-60).join("\n");
}
