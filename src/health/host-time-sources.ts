import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { access, readdir } from "node:fs/promises";
import { promisify } from "node:util";
import type { TimeSources } from "./timekeeper.ts";

export interface TimePlaces {
  readonly bootId: string;
  /** systemd-timesyncd makes this file when it has synchronised the clock in this run of the machine. */
  readonly timesync: string;
  readonly rtcDirectory: string;
  /** Programs that ask the kernel or the time service, until one answers: its output, or why not. */
  readonly run: (program: string, args: readonly string[]) => Promise<string>;
}

const RUN_MS_MAX = 5000;

export const SYSTEM_TIME_PLACES: TimePlaces = {
  bootId: "/proc/sys/kernel/random/boot_id",
  timesync: "/run/systemd/timesync/synchronized",
  rtcDirectory: "/sys/class/rtc",
  async run(program, args) {
    const { stdout } = await promisify(execFile)(program, args, { timeout: RUN_MS_MAX });
    return stdout;
  },
};

/**
 * The machine's own time. Whether it is synchronised says the kernel (adjtimex, STA_UNSYNC), which only a system call tells:
 * timedatectl asks it whoever keeps the time; without systemd, chronyc asks its own service.
 *
 * @param bootMs milliseconds since the machine was started
 * @param environment a sandbox that hides /proc/sys tells the boot id in FIELDGATE_BOOT_ID: systemd knows it as %b
 */
export function hostTimeSources(
  bootMs: () => number,
  environment: Readonly<Record<string, string | undefined>>,
  places: TimePlaces = SYSTEM_TIME_PLACES,
): TimeSources {
  return {
    bootId: bootIdOf(environment["FIELDGATE_BOOT_ID"] ?? textOf(places.bootId)),
    bootMs,
    synchronised: () => hostSynchronised(places),
    async hasBatteryClock() {
      return (await readdir(places.rtcDirectory).catch(() => [])).length > 0;
    },
  };
}

/** Null where nobody can tell. */
export async function hostSynchronised(places: TimePlaces): Promise<boolean | null> {
  const ask = async (program: string, ...args: string[]) =>
    (await places.run(program, args).catch(() => "")).trim();
  const kernel = await ask("timedatectl", "show", "--property=NTPSynchronized", "--value");
  if (kernel === "yes" || kernel === "no") return kernel === "yes";
  const leap = /^Leap status\s*:\s*(.+)$/m.exec(await ask("chronyc", "-n", "tracking"))?.[1];
  if (leap !== undefined) return leap !== "Not synchronised";
  const isMarked = await access(places.timesync).then(
    () => true,
    () => false,
  );
  return isMarked ? true : null;
}

/** Where nobody tells it, one by chance: then entries of an earlier run of the program are dated by their wall time. */
function bootIdOf(text: string): string {
  const digits = text.trim().replaceAll("-", "").toLowerCase();
  return /^[0-9a-f]{32}$/.test(digits) ? digits : randomBytes(16).toString("hex");
}

function textOf(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
