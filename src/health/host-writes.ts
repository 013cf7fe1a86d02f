import { readFile, stat } from "node:fs/promises";

/** What the machine says was written; null where it does not tell. Only Linux does. */
export interface HostWrites {
  readonly boot: string;
  readonly deviceBytes: number | null;
  readonly programBytes: number | null;
}

const SECTOR_BYTES = 512; // of /sys/block/*/stat, whatever the device has
const SECTORS_WRITTEN = 6; // the seventh figure there: Documentation/block/stat.rst

/**
 * The device that holds `path`, and this process. `write_bytes` of /proc/self/io counts pages that the process made dirty, less
 * those that were deleted before they were written.
 */
export async function hostWrites(path: string): Promise<HostWrites> {
  const [boot, deviceBytes, programBytes] = await Promise.all([
    text("/proc/sys/kernel/random/boot_id"),
    deviceWrites(path),
    programWrites(),
  ]);
  return { boot: boot?.trim() ?? "", deviceBytes, programBytes };
}

async function deviceWrites(path: string): Promise<number | null> {
  const file = await stat(path).catch(() => null);
  if (file === null) return null;
  // As the C library takes a device number apart: 12 bits of major, 8 and 12 of minor.
  const major = Math.floor(file.dev / 2 ** 8) % 2 ** 12;
  const minor = (file.dev % 2 ** 8) + (Math.floor(file.dev / 2 ** 20) % 2 ** 12) * 2 ** 8;
  const figures = await text(`/sys/dev/block/${major}:${minor}/stat`);
  const sectors = Number(figures?.trim().split(/\s+/)[SECTORS_WRITTEN] ?? "none");
  return Number.isSafeInteger(sectors) ? sectors * SECTOR_BYTES : null;
}

async function programWrites(): Promise<number | null> {
  const figures = await text("/proc/self/io");
  const [written, cancelled] = ["write_bytes", "cancelled_write_bytes"].map((name) =>
    Number(new RegExp(`^${name}: (\\d+)$`, "m").exec(figures ?? "")?.[1] ?? "none"),
  );
  if (written === undefined || cancelled === undefined || Number.isNaN(written + cancelled)) {
    return null;
  }
  return Math.max(0, written - cancelled);
}

function text(path: string): Promise<string | null> {
  return readFile(path, "utf8").catch(() => null);
}
