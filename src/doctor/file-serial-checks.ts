import { constants } from "node:fs";
import { access, readdir, readFile, readlink, realpath, stat } from "node:fs/promises";
import { basename, join } from "node:path";
import type { Config } from "../config/schema.ts";
import { type Check, type Finding, notAllowed } from "./finding.ts";

/** Names that the kernel gives in the order of plugging in. */
const RENUMBERED = /^\/dev\/tty(USB|ACM)\d+$/;

export interface SerialPlaces {
  readonly byId: string;
  /** Where processes and their open files are listed: /proc. */
  readonly processes: string;
}

export const SYSTEM_SERIAL_PLACES: SerialPlaces = {
  byId: "/dev/serial/by-id",
  processes: "/proc",
};

/** How the gateway tells ports apart. */
export interface PortNames {
  /** What stays the same of a port; null: nothing. */
  stable(path: string): Promise<string | null>;
  /** The adapters that answer to a name, when there are several: which, and a name that only it has. */
  namesakes(
    port: string,
  ): Promise<readonly { readonly what: string; readonly stable: string | null }[]>;
  /** The ports that a pattern matches. */
  like(pattern: string): Promise<readonly string[]>;
}

/**
 * Whether each device's port is there, stays the same, may be used, and is nobody else's. Those on a serial server are not
 * looked at.
 * @param gatewayPid the running gateway, which may hold its ports; null: none runs
 */
export function serialChecks(
  { devices }: Config,
  places: SerialPlaces,
  names: PortNames,
  gatewayPid: number | null,
): readonly Check[] {
  const local = devices.filter(({ port }) => port.startsWith("/"));
  return local.map(({ name, port }) => ({
    id: `serial.${name}`,
    run: async () => {
      const id = `serial.${name}`;
      const others = local.filter((other) => other.name !== name);
      return [
        (await lookedFor(id, port, names)) ??
          (await ambiguous(id, port, names)) ??
          (await shared(id, port, others)) ??
          (await portFinding(id, port, places, gatewayPid)) ??
          (await renumbered(id, port, names)) ?? { id, verdict: "fine", what: `${port} is there` },
      ];
    },
  }));
}

/** One of several ports, by what the device says. */
async function lookedFor(id: string, port: string, names: PortNames): Promise<Finding | null> {
  if (!port.includes("*")) return null;
  const found = await names.like(port);
  if (found.length > 0) {
    return { id, verdict: "fine", what: `${port}: looked for on ${found.join(", ")}` };
  }
  const todo = "plug the adapter in, try another cable, or correct `port`";
  return { id, verdict: "critical", what: `no port is like ${port}`, todo };
}

/** One name of two adapters: the gateway opens neither. */
async function ambiguous(id: string, port: string, names: PortNames): Promise<Finding | null> {
  const [one, ...others] = await names.namesakes(port);
  if (one === undefined) return null;
  const all = [one, ...others];
  const better = all.map(({ stable }) => stable ?? "by-path").join(", or ");
  return {
    id,
    verdict: "critical",
    what: `${port} is the name of ${all.map(({ what }) => what).join(" and ")}`,
    why: "adapters without serial numbers have one name, and nobody knows which is meant: none is read",
    todo: `port: ${better}`,
  };
}

async function renumbered(id: string, port: string, names: PortNames): Promise<Finding | null> {
  if (!RENUMBERED.test(port)) return null;
  const same = await names.stable(port);
  return {
    id,
    verdict: "warning",
    what: `${port} can be another adapter after the next start`,
    why: "the kernel numbers adapters in the order in which it finds them",
    todo: same === null ? "name it by /dev/serial/by-id or by-path" : `port: ${same}`,
  };
}

/** Two names of one port: the second to open it finds it busy. */
async function shared(
  id: string,
  port: string,
  others: readonly { readonly name: string; readonly port: string }[],
): Promise<Finding | null> {
  const target = await realpath(port).catch(() => null);
  if (target === null) return null;
  for (const other of others) {
    if ((await realpath(other.port).catch(() => null)) !== target) continue;
    return {
      id,
      verdict: "critical",
      what: `${port} is the port of device ${other.name}, too`,
      why: `both lead to ${target}, and only one can have it`,
      todo: "correct one of the two: `port` of each device is a line of its own",
    };
  }
  return null;
}

/** Null: it is there, and nobody else's. */
async function portFinding(
  id: string,
  port: string,
  places: SerialPlaces,
  gatewayPid: number | null,
): Promise<Finding | null> {
  const target = await realpath(port).catch(() => null);
  if (target === null) return absent(id, port, places);
  try {
    await access(target, constants.R_OK | constants.W_OK);
  } catch {
    if (await runsAsAnother(gatewayPid, places.processes)) return notAllowed(id, port);
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
  const holders = await holdersOf(target, places.processes);
  const foreign = holders.find(({ pid }) => pid !== gatewayPid && pid !== process.pid);
  if (foreign !== undefined) {
    return {
      id,
      verdict: "critical",
      what: `${port} is held by process ${foreign.pid} (${foreign.command})`,
      why: "two that read one line get half of each frame",
      todo: `stop it: kill ${foreign.pid}; is it a getty? systemctl disable --now serial-getty@${basename(target)}`,
    };
  }
  if (holders.length === 0 || RENUMBERED.test(port)) return null;
  return { id, verdict: "fine", what: `${port} is there, held by the gateway` };
}

/** Whether a gateway runs, and as another user than who asks: it may have rights that we have not. */
async function runsAsAnother(gatewayPid: number | null, processes: string): Promise<boolean> {
  if (gatewayPid === null) return false;
  const owner = await stat(join(processes, String(gatewayPid))).catch(() => null);
  return owner === null || owner.uid !== process.getuid?.();
}

async function absent(id: string, port: string, places: SerialPlaces): Promise<Finding> {
  const there = await readdir(places.byId).catch(() => []);
  const why =
    there.length === 0 ? "no USB serial adapter is plugged in" : `plugged in: ${there.join(", ")}`;
  const todo = "plug the adapter in, try another cable, or correct `port`";
  return { id, verdict: "critical", what: `${port} is not there`, why, todo };
}

interface Holder {
  readonly pid: number;
  readonly command: string;
}

/** The processes that have the file open, as far as this user may see. */
async function holdersOf(target: string, processes: string): Promise<readonly Holder[]> {
  const pids = (await readdir(processes).catch(() => [])).filter((name) => /^\d+$/.test(name));
  const holders: Holder[] = [];
  for (const pid of pids) {
    const folder = join(processes, pid, "fd");
    const files = await readdir(folder).catch(() => []);
    const links = await Promise.all(files.map((fd) => readlink(join(folder, fd)).catch(() => "")));
    if (!links.includes(target)) continue;
    const command = await readFile(join(processes, pid, "comm"), "utf8").catch(() => "?");
    holders.push({ pid: Number(pid), command: command.trim() });
  }
  return holders;
}
