/**
 * `npm run package [-- [--fast] [--out DIRECTORY] [--version V] [--node FILE] [amd64|arm64|armhf ...]]`: Debian packages, for all three or
 * those named, built without a machine of their kind: nothing is compiled. The same commit gives the same bytes (SOURCE_DATE_EPOCH, by default the time of the commit).
 * `--fast` compresses little, for tests. `--node` puts a Node inside that somebody has built for the one kind of machine that is named.
 */
import { mkdirSync, mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { bundle } from "./bundle.mjs";
import { ensureDebianPackages } from "./debian-packages.mjs";
import { ensureNodeModules, fail, root } from "./node-modules.mjs";
import { layControl, laySystem, setModes } from "./package-debian.mjs";
import { run } from "./package-registry.mjs";
import { layTree, MACHINES, withNode } from "./package-tree.mjs";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    fast: { type: "boolean", default: false },
    out: { type: "string", default: join(root, "dist-package") },
    version: { type: "string" },
    node: { type: "string" },
  },
});
const names = positionals.length > 0 ? positionals : Object.keys(MACHINES);
const unknown = names.find((name) => !Object.hasOwn(MACHINES, name));
if (unknown !== undefined)
  fail(`no kind of machine ${unknown}: ${Object.keys(MACHINES).join(", ")}`);
if (values.node !== undefined && positionals.length !== 1)
  fail("--node FILE is for one kind of machine: name it");

ensureNodeModules();
ensureDebianPackages({ "dpkg-deb": "dpkg" });
await bundle();
const { default: manifest } = await import("../package.json", { with: { type: "json" } });
const version = values.version ?? manifest.version;
const stamp = Number(process.env["SOURCE_DATE_EPOCH"] ?? run("git", ["log", "-1", "--format=%ct"]));
const out = resolve(values.out);
mkdirSync(out, { recursive: true });
for (const name of names) build(name);

function build(name) {
  const machine = machineOf(name);
  const tree = mkdtempSync(join(tmpdir(), "fieldgate-package-"));
  process.once("exit", () => rmSync(tree, { recursive: true, force: true }));
  layTree(join(tree, "usr/lib/fieldgate"), machine);
  laySystem(tree, machine, { version, stamp });
  setModes(tree);
  const bytes = layControl(tree, name, machine, version);
  const file = join(out, `fieldgate_${version}_${name}.deb`);
  const compression = values.fast ? ["-Zgzip", "-z1"] : ["-Zxz"];
  const argv = ["--root-owner-group", ...compression, "--build", tree, file];
  run("dpkg-deb", argv, root, { ...process.env, SOURCE_DATE_EPOCH: String(stamp) });
  rmSync(tree, { recursive: true, force: true });
  const size = (count) => `${(count / 2 ** 20).toFixed(1)} MiB`;
  console.log(`${file}: ${size(statSync(file).size)}, installed ${size(bytes)}`);
}

function machineOf(name) {
  if (values.node === undefined) return MACHINES[name];
  try {
    return withNode(MACHINES[name], values.node);
  } catch (error) {
    return fail(error.message);
  }
}
