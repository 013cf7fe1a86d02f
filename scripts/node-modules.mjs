/**
 * Installs what package-lock.json names, when it is not there yet. Every script calls this first, so that two
 * commands are enough on a machine that has only Node and npm.
 *
 * `npm install --no-save` and not `npm ci`: the lock names the optional packages (esbuild, Biome, knip's parser) only
 * for the platforms that the registry had when it was written, and `npm ci` refuses such a lock everywhere. The
 * two things that `npm ci` would add are done here: package.json and the lock must agree before, and every package of
 * the lock that this machine can use must be there, in its version, after.
 *
 * Install scripts are not run. The native packages (classic-level, @serialport/bindings-cpp) carry their prebuilds inside and
 * load them with node-gyp-build; esbuild finds its binary without one. A platform without a prebuild compiles with
 * `npm rebuild classic-level @serialport/bindings-cpp`.
 */
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";

/** Top of the checkout. */
export const root = join(import.meta.dirname, "..");

const NODE_MIN = [20, 15];

/** Leaves node_modules as package-lock.json has it, or ends the process with what to do. Does nothing, in some 20 ms, when it is so already. */
export function ensureNodeModules() {
  const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
  if (major < NODE_MIN[0] || (major === NODE_MIN[0] && minor < NODE_MIN[1])) {
    fail(`Node ${NODE_MIN.join(".")} or newer is needed; this is ${process.versions.node}.`);
  }
  const lock = readJson("package-lock.json");
  const stale = disagreements(readJson("package.json"), lock);
  if (stale.length > 0) {
    fail(
      `package.json and package-lock.json disagree on ${stale.join(", ")}: run \`npm install\` and commit both.`,
    );
  }
  const before = missing(lock);
  if (before.length === 0) return;
  console.error(`installing ${before.length} npm packages (npm install, without scripts) ...`);
  npmInstall("--include=dev", "--prefer-offline");
  const after = missing(lock);
  if (after.length > 0)
    fail(`npm left out ${after.join(", ")}: try again, or run \`npm install\`.`);
}

/** Runs `npm install` quietly, without saving and without install scripts. Ends the process with what npm said when it fails. */
export function npmInstall(...args) {
  const flags = ["--no-save", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"];
  const npm = spawnSync("npm", ["install", ...flags, ...args], {
    cwd: root,
    encoding: "utf8",
    stdio: ["ignore", "pipe", "pipe"],
  });
  if (npm.error) fail(`npm cannot be started: ${npm.error.message}`);
  if (npm.status !== 0) fail(`npm install ${args.join(" ")} failed:\n${npm.stdout}${npm.stderr}`);
}

/** Says why on standard error and ends the process with 1. */
export function fail(why) {
  console.error(why);
  process.exit(1);
}

/** Names of direct dependencies that package.json and the lock see differently. */
function disagreements(manifest, lock) {
  const locked = lock.packages[""];
  return ["dependencies", "devDependencies"].flatMap((kind) => {
    const wanted = manifest[kind] ?? {};
    const had = locked[kind] ?? {};
    const names = new Set([...Object.keys(wanted), ...Object.keys(had)]);
    return [...names].filter((name) => wanted[name] !== had[name]);
  });
}

/** Paths of the lock's packages that this machine can use and that are not on disk in the locked version. */
function missing(lock) {
  return Object.entries(lock.packages)
    .filter(([path, entry]) => path !== "" && !entry.link && runsHere(entry))
    .filter(([path, entry]) => installedVersion(path) !== entry.version)
    .map(([path]) => path);
}

function installedVersion(path) {
  const file = join(path, "package.json");
  return existsSync(join(root, file)) ? readJson(file).version : undefined;
}

/**
 * Whether npm installs a package on this platform: `os`, `cpu` and `libc` list names, `!name` excludes. An optional
 * one that names none may be there for the sake of one of another platform: nobody misses it.
 */
function runsHere(entry) {
  if (entry.optional && !entry.os && !entry.cpu) return false;
  return (
    allows(entry.os, process.platform) &&
    allows(entry.cpu, process.arch) &&
    (entry.libc === undefined || allows(entry.libc, libc()))
  );
}

function allows(list, name) {
  if (list === undefined) return true;
  if (list.includes(`!${name}`)) return false;
  return list.includes(name) || list.every((entry) => entry.startsWith("!"));
}

let knownLibc;
function libc() {
  knownLibc ??= process.report.getReport().header.glibcVersionRuntime ? "glibc" : "musl";
  return knownLibc;
}

function readJson(path) {
  return JSON.parse(readFileSync(join(root, path), "utf8"));
}
