/**
 * Packages of the npm registry for another kind of machine than this one: Node itself, and native addons. npm installs only what fits the
 * machine, so they are fetched as archives, checked against the integrity that is pinned here or in package-lock.json, and unpacked.
 */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fail, root } from "./node-modules.mjs";

const CACHE = join(root, "node_modules/.cache/package");

/**
 * The folder with what `name@version` holds. Kept between calls.
 * @param integrity as npm writes it: `sha512-` and base64
 *
 * Ends the process when the registry does not have it, or has something else by that name.
 */
export function fetched({ name, version, integrity }) {
  const folder = join(CACHE, `${name.replaceAll("/", "+")}-${version}`);
  if (existsSync(folder)) return join(folder, "package");
  const making = `${folder}.${process.pid}`;
  mkdirSync(making, { recursive: true });
  process.once("exit", () => rmSync(making, { recursive: true, force: true }));
  console.error(`fetching ${name}@${version} ...`);
  const argv = ["pack", `${name}@${version}`, "--silent", "--pack-destination", making];
  const archive = join(making, run("npm", argv, making).trim().split("\n").at(-1));
  const found = `sha512-${createHash("sha512").update(readFileSync(archive)).digest("base64")}`;
  if (found !== integrity) fail(`${name}@${version} is not what is pinned: ${found}`);
  run("tar", ["-xzf", archive, "-C", making], making);
  rmSync(archive);
  // Another build may have been quicker.
  if (!existsSync(folder)) renameSync(making, folder);
  return join(folder, "package");
}

/** What a program prints. Ends the process with what it complained of when it fails. */
export function run(program, argv, cwd = root, env = process.env) {
  const options = { cwd, env, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] };
  const { status, stdout, stderr, error } = spawnSync(program, argv, options);
  if (error) fail(`${program} cannot be started: ${error.message}`);
  if (status !== 0) fail(`${program} ${argv.join(" ")} failed:\n${stdout}${stderr}`);
  return stdout;
}
