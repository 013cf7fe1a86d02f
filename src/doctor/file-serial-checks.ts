import { constants } from "node:fs";
import { access, readdir, readlink, realpath, stat } from "node:fs/promises";
import { join } from "node:path";
import type { Config } from "../config/schema.ts";
import type { Check, Finding } from "./finding.ts";

/** Where udev links serial ports by what stays the same of them. */
const BY_ID = "/dev/serial/by-id";
/** Names that the kernel gives in the order of plugging in. */
const RENUMBERED = /^\/dev\/tty(USB|ACM)\d+$/;

export interface SerialPlaces {
  readonly byId: string;
  /** Where processes and their open files are listed: /proc. */
  readonly processes: string;
}

export const SYSTEM_SERIAL_PLACES: SerialPlaces = { byId: BY_ID, processes: "/proc" };

/** Whether each device's port is there, stays the same, and may be used. Those on a serial server are not looked at. */
export function serialChecks({ devices }: Config, places: SerialPlaces): readonly Check[] {
  const local = devices.filter(({ port }) => port.startsWith("/"));
  return local.map(({ name, port }) => ({
    id: `serial.${name}`,
    run: async () => [await portFinding(`serial.${name}`, port, places)],
  }));
}

async function portFinding(id: string, port: string, places: SerialPlaces): Promise<Finding> {
  const target = await realpath(port).catch(() => null);
  if (target === null) return absent(id, port, places);
  try {
    await access(target, constants.R_OK | constants.W_OK);
  } catch {
    return {
      id,
      verdict: "critical",
      what: `${port}: permission denied`,
      why: `asked as user ${process.getuid?.() ?? "?"}`,
      todo: "add the service's user to the group dialout, or ask as that user",
    };
  }
  if (!(await stat(target)).isCharacterDevice()) {
    const todo = `ls -l ${port}`;
    return { id, verdict: "critical", what: `${port} is no serial port`, todo };
  }
  if (RENUMBERED.test(port)) {
    const same = await linkTo(places.byId, target);
    return {
      id,
      verdict: "warning",
      what: `${port} can be another adapter after the next start`,
      why: "the kernel numbers adapters in the order in which it finds them",
      todo: same === null ? `name it by ${places.byId} or by-path` : `port: ${same}`,
    };
  }
  const holder = await holderOf(target, places.processes);
  const held = holder === null ? "" : `, held by ${holder}`;
  return { id, verdict: "fine", what: `${port} is there${held}` };
}

async function absent(id: string, port: string, places: SerialPlaces): Promise<Finding> {
  const there = await readdir(places.byId).catch(() => []);
  const why =
    there.length === 0 ? "no USB serial adapter is plugged in" : `plugged in: ${there.join(", ")}`;
  const todo = "plug the adapter in, try another cable, or correct `port`";
  return { id, verdict: "critical", what: `${port} is not there`, why, todo };
}

async function linkTo(directory: string, target: string): Promise<string | null> {
  for (const name of await readdir(directory).catch(() => [])) {
    const link = join(directory, name);
    if ((await realpath(link).catch(() => null)) === target) return link;
  }
  return null;
}

/** The process that has the file open, as far as this user may see: `PID NAME`. */
async function holderOf(target: string, processes: string): Promise<string | null> {
  const pids = (await readdir(processes).catch(() => [])).filter((name) => /^\d+$/.test(name));
  for (const pid of pids) {
    const folder = join(processes, pid, "fd");
    for (const fd of await readdir(folder).catch(() => [])) {
      if ((await readlink(join(folder, fd)).catch(() => null)) === target) return `process ${pid}`;
    }
  }
  return null;
}
