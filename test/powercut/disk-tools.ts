import { spawnSync } from "node:child_process";
import { closeSync, mkdirSync, openSync, truncateSync } from "node:fs";

/** Runs a program of the system to its end. @throws Error with what it said when it fails */
export function run(program: string, ...words: string[]): string {
  const { status, stdout, stderr, error } = spawnSync(program, words, { encoding: "utf8" });
  if (status !== 0) {
    throw new Error(
      `${program} ${words.join(" ")}: ${error?.message ?? `${stdout}${stderr}`.trim()}`,
    );
  }
  return stdout.trim();
}

/** Makes a file that is an empty ext4 file system, with nothing of it left to be written later in the background. */
export function makeExt4(image: string, bytes: number): void {
  closeSync(openSync(image, "wx"));
  truncateSync(image, bytes);
  run("mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0", image);
}

export function copySparse(from: string, to: string): void {
  run("cp", "--sparse=always", from, to);
}

/**
 * Repairs a file system as a machine does when it boots. Tells whether there was something to repair beyond its own journal.
 * @throws Error when it is beyond repair
 */
export function repairExt4(image: string): boolean {
  const check = (...words: string[]) => {
    const { status, stdout, stderr } = spawnSync("e2fsck", [...words, image], { encoding: "utf8" });
    if (status === null || status > MENDED_REBOOT) throw new Error(`${status} ${stdout}${stderr}`);
    return status;
  };
  check("-y", "-E", "journal_only");
  return check("-fy") !== 0;
}

/** e2fsck: 0 sound, 1 mended, 2 mended and the machine should start again; above, not mended. */
const MENDED_REBOOT = 2;

/** A mounted image. Unmounted at the latest when this process ends. */
export class Mount {
  readonly path: string;
  readonly #atExit = () => this.detach();

  private constructor(path: string) {
    this.path = path;
  }

  /** @throws Error when the file system cannot be mounted, or still is for somebody else */
  static of(image: string, path: string): Mount {
    if (isInUse(image)) throw new Error(`${image} is still mounted, in another mount namespace`);
    mkdirSync(path, { recursive: true });
    run("mount", "-t", "ext4", "-o", "loop", image, path);
    const mount = new Mount(path);
    process.once("exit", mount.#atExit);
    return mount;
  }

  /** @throws Error when something still uses it */
  unmount(): void {
    run("umount", this.path);
    process.off("exit", this.#atExit);
  }

  /** Takes it out of sight at once, also while something still uses it. */
  detach(): void {
    spawnSync("umount", ["-l", this.path], { stdio: "ignore" });
    process.off("exit", this.#atExit);
  }
}

function isInUse(image: string): boolean {
  return run("losetup", "--associated", image) !== "";
}
