import { constants } from "node:fs";
import {
  access,
  mkdir,
  open,
  readdir,
  readFile,
  realpath,
  stat,
  statfs,
  unlink,
} from "node:fs/promises";
import { join } from "node:path";
import type { Clock } from "../base/clock.ts";
import type { Config } from "../config/schema.ts";
import { type Check, type Finding, isForbiddenToAsker, notAllowed } from "./finding.ts";

/** statfs(2): file systems that forget everything when the power goes. */
const VOLATILE: Readonly<Record<number, string>> = { 16914836: "tmpfs", 2240043254: "ramfs" };
/** Syncs of one block, and the median that a card in good health stays below. */
const SYNCS = 20;
const SYNC_MS_SLOW = 50;
const SYNC_MS_BAD = 500;
const BLOCK_BYTES = 4096;
/** Room for compactions beside the store, and for the rest of the machine. */
const FREE_BYTES_MIN = 64 * 2 ** 20;

/** Whether the store's directory is there and can be used, and on what it lies. */
export function storeChecks({ store }: Config, clock: Clock): readonly Check[] {
  const { path, bytesMax } = store;
  return [
    { id: "store.path", run: async () => [await pathFinding(path)] },
    { id: "store.filesystem", run: async () => [await fileSystemFinding(path)] },
    { id: "store.space", run: async () => [await spaceFinding(path, bytesMax)] },
    { id: "store.latency", run: async (signal) => [await latencyFinding(path, clock, signal)] },
    { id: "store.quarantine", run: async () => [await quarantineFinding(path)] },
  ];
}

async function pathFinding(path: string): Promise<Finding> {
  const id = "store.path";
  try {
    if (!(await stat(path)).isDirectory()) {
      const todo = "move the file away, or give store.path another place";
      return { id, verdict: "critical", what: `${path} is a file, not a directory`, todo };
    }
    await access(path, constants.R_OK | constants.W_OK | constants.X_OK);
    return { id, verdict: "fine", what: `${path} can be read and written` };
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (isForbiddenToAsker(error)) return notAllowed(id, path);
    if (code === "ENOENT") {
      return {
        id,
        verdict: "warning",
        what: `${path} is not there`,
        why: "the gateway makes it when it starts, if it may",
        todo: `mkdir -p ${path}, owned by the service's user (--fix does it)`,
        fix: async () => {
          await mkdir(path, { recursive: true, mode: 0o700 });
          return `made ${path}`;
        },
      };
    }
    return {
      id,
      verdict: "critical",
      what: `${path} cannot be used: ${code}`,
      why: "what is accepted could not be kept",
      todo: `ls -ld ${path}; it must belong to the service's user (ask as that user, or as root)`,
    };
  }
}

async function fileSystemFinding(path: string): Promise<Finding> {
  const id = "store.filesystem";
  // Where a link leads is what counts.
  const there = await realpath(await nearestThere(path));
  const volatile = VOLATILE[(await statfs(there)).type];
  if (volatile !== undefined) {
    return {
      id,
      verdict: "critical",
      what: `${path} lies on ${volatile}, in memory`,
      why: "all that was acknowledged is gone after a power cut",
      todo: "give store.path a place on a disk",
    };
  }
  const mount = await mountOf(there);
  if (mount === null) {
    return { id, verdict: "unknown", what: "the file system cannot be told", why: "no /proc" };
  }
  if (mount.options.includes("ro")) {
    return {
      id,
      verdict: "critical",
      what: `${mount.point} is mounted read-only`,
      why: "the kernel does that by itself when a card fails: dmesg says",
      todo: `dmesg | grep -i ${mount.type}; check the card; mount -o remount,rw ${mount.point}`,
    };
  }
  return { id, verdict: "fine", what: `${path} lies on ${mount.type}, mounted at ${mount.point}` };
}

async function spaceFinding(path: string, bytesMax: number): Promise<Finding> {
  const id = "store.space";
  const { bavail, bsize } = await statfs(await nearestThere(path));
  const free = bavail * bsize;
  const unseen = await readdir(path).then(
    () => null,
    (error) => error,
  );
  if (isForbiddenToAsker(unseen ?? {}) && free >= FREE_BYTES_MIN) return notAllowed(id, path);
  const used = await bytesBelow(path);
  const rest = Math.max(0, bytesMax - used);
  const what = `${mebibytes(free)} free; the store has ${mebibytes(used)} of ${mebibytes(bytesMax)}`;
  if (free < FREE_BYTES_MIN) {
    return {
      id,
      verdict: "critical",
      what,
      why: "with a full disk nothing more is accepted",
      todo: "make room: journalctl --vacuum-size=50M, apt-get clean; or a larger card",
    };
  }
  if (free < rest) {
    const why =
      "the disk is full before store.bytesMax is reached, which is what should limit the store";
    const todo = `make room, or lower store.bytesMax by ${mebibytes(rest - free)}`;
    return { id, verdict: "warning", what, why, todo };
  }
  if (rest < bytesMax / 10) {
    const why = "the store is nearly full: see why messages wait (fieldgate status)";
    return {
      id,
      verdict: "warning",
      what,
      why,
      todo: "bring the uplink back, or raise store.bytesMax",
    };
  }
  return { id, verdict: "fine", what };
}

/** Writes and syncs single blocks beside the store: what every acknowledgement waits for. */
async function latencyFinding(path: string, clock: Clock, signal: AbortSignal): Promise<Finding> {
  const id = "store.latency";
  const probe = join(path, `doctor-${process.pid}.probe`);
  const times: number[] = [];
  try {
    const file = await open(probe, "w", 0o600);
    try {
      const block = Buffer.alloc(BLOCK_BYTES);
      for (let i = 0; i < SYNCS && !signal.aborted; i++) {
        const began = clock.monotonicMs();
        await file.write(block, 0, BLOCK_BYTES, i * BLOCK_BYTES);
        await file.datasync();
        times.push(clock.monotonicMs() - began);
      }
    } finally {
      await file.close();
    }
  } catch (error) {
    const why = `a probe cannot be written there: ${(error as Error).message}`;
    return { id, verdict: "unknown", what: "not measured", why };
  } finally {
    await unlink(probe).catch(() => {}); // was never made
  }
  return latencyVerdict(times);
}

/** @param times of single writes with a sync, in milliseconds */
export function latencyVerdict(times: readonly number[]): Finding {
  const id = "store.latency";
  const sorted = times.toSorted((one, other) => one - other);
  const median = sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
  const worst = sorted.at(-1) ?? Number.NaN;
  const what = `a write reaches the disk in ${median.toFixed(1)} ms, at worst ${worst.toFixed(0)} ms`;
  const why = "each acknowledgement waits for such a write";
  const todo = "look for what else writes (iotop), and whether the card is worn out: replace it";
  if (median >= SYNC_MS_BAD) return { id, verdict: "critical", what, why, todo };
  if (median >= SYNC_MS_SLOW) return { id, verdict: "warning", what, why, todo };
  return { id, verdict: "fine", what };
}

async function quarantineFinding(path: string): Promise<Finding> {
  const id = "store.quarantine";
  let names: readonly string[];
  try {
    names = await readdir(path);
  } catch (error) {
    if (isForbiddenToAsker(error)) return notAllowed(id, path);
    names = []; // what is not there has nothing aside
  }
  const aside = names.filter((name) => name.startsWith("quarantine-"));
  if (aside.length === 0) return { id, verdict: "fine", what: "no damaged store was set aside" };
  return {
    id,
    verdict: "warning",
    what: `${aside.length} damaged store${aside.length > 1 ? "s" : ""} set aside: ${aside.join(", ")}`,
    why: "what was damaged beyond repair was moved away: a store, and a new journal begun, or files of one",
    todo: `send ${join(path, aside[0] ?? "")} to support, then delete it; check the card`,
  };
}

/** The path, or the nearest directory above it that is there. */
async function nearestThere(path: string): Promise<string> {
  for (let at = path; ; at = join(at, "..")) {
    if (at === "/" || (await exists(at))) return at;
  }
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}

async function bytesBelow(path: string): Promise<number> {
  const entries = await readdir(path, { recursive: true, withFileTypes: true }).catch(() => []);
  const sizes = entries
    .filter((entry) => entry.isFile())
    .map((entry) =>
      stat(join(entry.parentPath, entry.name)).then(
        ({ size }) => size,
        () => 0,
      ),
    );
  return (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0);
}

interface MountPoint {
  readonly point: string;
  readonly type: string;
  readonly options: readonly string[];
}

/** proc_pid_mountinfo(5): the mount with the longest point above the path. */
async function mountOf(path: string): Promise<MountPoint | null> {
  const text = await readFile("/proc/self/mountinfo", "utf8").catch(() => "");
  const mounts = text
    .trimEnd()
    .split("\n")
    .map((line) => {
      const [mount = "", system = ""] = line.split(" - ");
      const [, , , , point = "", options = ""] = mount.split(" ");
      const [type = "", , superOptions = ""] = system.split(" ");
      return { point, type, options: [...options.split(","), ...superOptions.split(",")] };
    })
    .filter(({ point }) => point === "/" || path === point || path.startsWith(`${point}/`));
  // Of two on one point the later one covers the earlier.
  return mounts.toSorted((a, b) => a.point.length - b.point.length).at(-1) ?? null;
}

function mebibytes(bytes: number): string {
  return bytes < 10 * 2 ** 20
    ? `${(bytes / 2 ** 20).toFixed(1)} MiB`
    : `${Math.round(bytes / 2 ** 20)} MiB`;
}
