import { execFile, spawnSync } from "node:child_process";
import { access, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join, resolve } from "node:path";

const BOOT_MS_MAX = 450_000;
const NAMESPACES = ["--mount", "--pid", "--fork", "--cgroup", "--net", "--ipc", "--uts"];

/**
 * Boots a real systemd on a copy of this machine's file system that is thrown away: test/service/boot.sh.
 * @param prepare a shell script that is run before, with the copy's root as its argument
 * @param probe a shell script that is run as a unit beside fieldgate.service
 * @returns what the probe printed, and everything else that was said
 */
export async function bootSystemd(
  prepare: string,
  probe: string,
): Promise<{ readonly told: string; readonly console: string }> {
  const directory = await mkdtemp(join(tmpdir(), "fieldgate-systemd-"));
  try {
    await writeFile(join(directory, "prepare"), prepare);
    await writeFile(join(directory, "probe"), probe);
    const script = resolve("test/service/boot.sh");
    const boot = ["unshare", ...NAMESPACES, "--kill-child", "sh", script, directory];
    const said = await inCgroups(
      directory,
      `mkdir "$1"; echo $$ > "$1/cgroup.procs"; exec ${boot.join(" ")}`,
    );
    const read = (name: string) => readFile(join(directory, "out", name), "utf8").catch(() => "");
    return { told: await read("probe"), console: `${said}${await read("console")}` };
  } finally {
    await inCgroups(directory, 'find "$1" -depth -type d -exec rmdir {} +');
    await rm(directory, { recursive: true, force: true });
  }
}

/**
 * Runs a script where the machine's cgroups can be seen, with a name for a cgroup of its own: two systemds in one would each end the
 * services of the other.
 */
function inCgroups(directory: string, script: string): Promise<string> {
  const place = `/mnt/${basename(directory)}`;
  const mounted = `mount --make-rprivate /; mount -t cgroup2 cgroup2 /mnt; ${script}`;
  const argv = ["--mount", "sh", "-c", mounted, "sh", place];
  const options = { timeout: BOOT_MS_MAX, killSignal: "SIGKILL" as const };
  return new Promise((done) => {
    execFile("unshare", argv, options, (_error, stdout, stderr) => done(stdout + stderr));
  });
}

/** Why no systemd can be booted on this machine; null when one can. */
export async function missingForSystemd(): Promise<string | null> {
  if (process.platform !== "linux" || process.getuid?.() !== 0) return "root on Linux is needed";
  for (const program of ["/lib/systemd/systemd", "/usr/sbin/pivot_root", "/sbin/ip"]) {
    const isThere = await access(program).then(
      () => true,
      () => false,
    );
    if (!isThere) return `not installed: ${program}`;
  }
  const { status, stderr } = spawnSync("unshare", [...NAMESPACES, "true"], { encoding: "utf8" });
  return status === 0 ? null : `namespaces are not permitted: ${stderr.trim()}`;
}
