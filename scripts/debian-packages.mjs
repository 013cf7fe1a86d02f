/**
 * Brings the programs that the tests run against: real peers, not imitations. On Debian, as root, through apt-get;
 * elsewhere it says what is missing and how to get it.
 */
import { spawnSync } from "node:child_process";
import { accessSync, chmodSync, constants, existsSync, rmSync, writeFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import { fail } from "./node-modules.mjs";

const POLICY = "/usr/sbin/policy-rc.d";

/**
 * @param needed package of Debian by the name of the program, or the path of the file, that it brings
 *
 * Ends the process with 1 when one is missing and cannot be installed. `FIELDGATE_APT=no` never installs.
 */
export function ensureDebianPackages(needed) {
  const problem = bring(needed);
  if (problem !== null) fail(problem);
}

/** The same for what some tests only wish for: without it they are skipped, and say so. */
export function wishForDebianPackages(wanted) {
  const problem = bring(wanted);
  if (problem !== null) console.error(`SKIPPED will be what needs it: ${problem}`);
}

/** Why something is missing now; null when all is there. */
function bring(needed) {
  // Debian keeps daemons in /usr/sbin, which is not in the PATH of a user.
  process.env["PATH"] = [process.env["PATH"], "/usr/local/sbin", "/usr/sbin", "/sbin"].join(
    delimiter,
  );
  const absent = () => Object.keys(needed).filter((what) => !isThere(what));
  const missing = absent();
  if (missing.length === 0) return null;
  const packages = [...new Set(missing.map((what) => needed[what]))];
  if (!mayInstall()) return howToGet(missing, packages);
  console.error(`installing Debian packages: ${packages.join(", ")} ...`);
  const refusal = withoutStartingServices(() => {
    // Only when the lists lack a package or are old: an update takes longer than most installs.
    if (aptGet(["install", ...packages]) === null) return null;
    aptGet(["update"]);
    return aptGet(["install", ...packages]);
  });
  if (refusal !== null) return `apt-get install failed:\n${refusal}`;
  const still = absent();
  return still.length === 0 ? null : `${still.join(", ")} is still missing after the installation.`;
}

function isThere(what) {
  return what.startsWith("/") ? existsSync(what) : isInPath(what);
}

function isInPath(program) {
  return process.env["PATH"].split(delimiter).some((folder) => {
    try {
      accessSync(join(folder, program), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

function mayInstall() {
  return (
    process.env["FIELDGATE_APT"] !== "no" &&
    process.getuid?.() === 0 &&
    existsSync("/etc/debian_version") &&
    isInPath("apt-get")
  );
}

function howToGet(missing, packages) {
  return [
    `The tests need ${missing.join(", ")}.`,
    `  Debian, Ubuntu, Raspberry Pi OS:  sudo apt-get install ${packages.join(" ")}`,
    `  elsewhere: ${missing.join(", ")} from the packages of the system, programs in the PATH`,
  ].join("\n");
}

/** What apt-get printed when it failed, or null. */
function aptGet(args) {
  const flags = ["-y", "-q", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=120"];
  const apt = spawnSync("apt-get", [...flags, ...args], {
    env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" },
    encoding: "utf8",
    stdio: ["ignore", "pipe", "pipe"],
  });
  if (apt.error) return apt.error.message;
  return apt.status === 0 ? null : `${apt.stdout}${apt.stderr}`;
}

/**
 * The tests start their own servers, on ports of their own: those of the packages must not run. Debian asks policy-rc.d
 * before it starts a service (101: forbidden). One that is there already is the owner's will and stays.
 */
function withoutStartingServices(install) {
  const ours = !existsSync(POLICY);
  if (ours) {
    writeFileSync(POLICY, "#!/bin/sh\nexit 101\n");
    chmodSync(POLICY, 0o755);
  }
  // On exit and not in a finally: fail() ends the process without unwinding, and so does a signal.
  const cleanUp = () => {
    if (ours) rmSync(POLICY, { force: true });
  };
  const end = () => process.exit(1);
  process.once("exit", cleanUp);
  for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, end);
  const refusal = install();
  process.off("exit", cleanUp);
  for (const signal of ["SIGINT", "SIGTERM"]) process.off(signal, end);
  cleanUp();
  return refusal;
}
