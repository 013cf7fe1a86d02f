import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { arch, cpus, loadavg, networkInterfaces, release, uptime } from "node:os";
import { promisify } from "node:util";
import type { ArchivedFile } from "./tar-archive.ts";

const COMMAND_MS_MAX = 10_000;
const OUTPUT_BYTES_MAX = 4 * 2 ** 20;

/** What a machine says of itself, and who is asked. A machine that does not know a command says so in the file. */
const COMMANDS: Readonly<Record<string, readonly string[]>> = {
  "log.txt": ["journalctl", "-u", "fieldgate*", "-n", "2000", "--no-pager", "-o", "short-iso"],
  "machine/unit.txt": ["systemctl", "status", "fieldgate", "--no-pager", "-n", "0"],
  "machine/kernel.txt": ["dmesg", "--ctime", "--level=emerg,alert,crit,err,warn"],
  "machine/disks.txt": ["df", "-h"],
  "machine/routes.txt": ["ip", "route"],
  "machine/time.txt": ["timedatectl", "show"],
  "machine/serial.txt": ["ls", "-l", "/dev/serial/by-id"],
  "machine/processes.txt": ["ps", "-eo", "pid,user,rss,pcpu,etime,comm", "--sort=-rss"],
};

const FILES: Readonly<Record<string, string>> = {
  "machine/memory.txt": "/proc/meminfo",
  "machine/mounts.txt": "/proc/mounts",
  "machine/interfaces.txt": "/proc/net/dev",
  "machine/system.txt": "/etc/os-release",
  "machine/throttled.txt": "/sys/devices/platform/soc/soc:firmware/get_throttled",
};

/** What helps from afar: log, kernel, disks, network, memory, time. */
export async function machineFiles(): Promise<ArchivedFile[]> {
  const said = Object.entries(COMMANDS).map(async ([name, [program = "", ...argv]]) => ({
    name,
    text: await outputOf(program, argv),
  }));
  const read = Object.entries(FILES).map(async ([name, path]) => ({
    name,
    text: await readFile(path, "utf8").catch((error: Error) => `${error.message}\n`),
  }));
  return [{ name: "machine/node.json", text: node() }, ...(await Promise.all([...said, ...read]))];
}

function node(): string {
  const { version } = process;
  const [cpu] = cpus();
  const told = {
    ...{ node: version, arch: arch(), kernel: release(), cpu: cpu?.model, cores: cpus().length },
    ...{ uptimeSeconds: Math.round(uptime()), load: loadavg(), network: networkInterfaces() },
  };
  return `${JSON.stringify(told, null, 2)}\n`;
}

async function outputOf(program: string, argv: readonly string[]): Promise<string> {
  try {
    const options = { timeout: COMMAND_MS_MAX, maxBuffer: OUTPUT_BYTES_MAX };
    const { stdout, stderr } = await promisify(execFile)(program, [...argv], options);
    return `${stdout}${stderr}`;
  } catch (error) {
    const { message, stdout = "" } = error as Error & { stdout?: string };
    return `${stdout}${message}\n`;
  }
}
