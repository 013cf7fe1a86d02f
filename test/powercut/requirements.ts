import { spawnSync } from "node:child_process";
import { accessSync, constants, existsSync } from "node:fs";

const PROGRAMS = ["gcc", "pkg-config", "fusermount3", "mkfs.ext4", "e2fsck", "losetup", "mount"];

/** Why power cuts cannot be rehearsed on this machine; null when they can. */
export function missingForPowercuts(): string | null {
  if (process.platform !== "linux") return "Linux is needed";
  if (process.getuid?.() !== 0) return "root is needed, to mount file systems";
  const absent = PROGRAMS.filter((program) => !isThere(program));
  if (absent.length > 0) return `not installed: ${absent.join(", ")}`;
  if (spawnSync("pkg-config", ["--exists", "fuse3"]).status !== 0) {
    return "not installed: libfuse3-dev";
  }
  if (!mayOpen("/dev/fuse")) return "/dev/fuse cannot be opened";
  if (!existsSync("/dev/loop-control")) return "there are no loop devices";
  if (spawnSync("losetup", ["-f"]).status !== 0) return "no loop device is free";
  if (spawnSync("unshare", ["--mount", "true"]).status !== 0) return "mounting is not permitted";
  return null;
}

function isThere(program: string): boolean {
  return spawnSync("sh", ["-c", `command -v ${program}`]).status === 0;
}

function mayOpen(path: string): boolean {
  try {
    accessSync(path, constants.R_OK | constants.W_OK);
    return true;
  } catch {
    return false;
  }
}
