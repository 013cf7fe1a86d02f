/**
 * `npm test [-- [--long] [PART_OF_A_PATH ...]]`: installs what the tests need and runs them, or those whose path contains
 * one of the arguments. `--long` sets FIELDGATE_TEST_LONG=1: more rounds, the same tests.
 */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { bundle } from "./bundle.mjs";
import { runNode } from "./child.mjs";
import { ensureDebianPackages, wishForDebianPackages } from "./debian-packages.mjs";
import { ensureNodeModules, fail, root } from "./node-modules.mjs";
import { POWERCUT_NEEDS } from "./powercut-needs.mjs";

const PROGRAMS = {
  mosquitto: "mosquitto",
  etcd: "etcd-server",
  socat: "socat",
  openssl: "openssl",
  "systemd-analyze": "systemd",
  "rabbitmq-server": "rabbitmq-server",
  zsh: "zsh",
  fish: "fish",
};
/** For tests that are skipped without: they also need root, /dev/fuse, loop devices, or leave to trace. */
const WISHED = {
  ...POWERCUT_NEEDS,
  strace: "strace",
  lintian: "lintian",
  "qemu-aarch64-static": "qemu-user-static",
  debootstrap: "debootstrap",
  "/usr/aarch64-linux-gnu/lib/libstdc++.so.6": "libstdc++6-arm64-cross",
};
const STOP_MS_MAX = 10_000;

const flags = process.argv.slice(2).filter((argument) => argument.startsWith("--"));
const wanted = process.argv.slice(2).filter((argument) => !argument.startsWith("--"));
const unknown = flags.find((flag) => flag !== "--long");
if (unknown !== undefined) fail(`unknown option ${unknown}; there is --long`);

ensureNodeModules();
ensureDebianPackages(PROGRAMS);
wishForDebianPackages(WISHED);
await bundle(); // test/e2e runs the program as it is shipped
const files = testFiles();
if (files.length === 0) fail(`no test file's path contains ${wanted.join(" or ")}`);
const long = flags.includes("--long") ? { FIELDGATE_TEST_LONG: "1" } : {};
// The runner inherits the loader and hands it on to the process of each test file.
process.exitCode = await runNode(["--import", "tsx", "scripts/run-tests.mjs", ...files], {
  env: { ...process.env, ...long },
  stopMsMax: STOP_MS_MAX,
});

function testFiles() {
  return readdirSync(join(root, "test"), { recursive: true })
    .map((path) => join("test", path))
    .filter((path) => path.endsWith(".test.ts"))
    .filter((path) => wanted.length === 0 || wanted.some((part) => path.includes(part)))
    .sort();
}
