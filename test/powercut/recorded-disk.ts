import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { closeSync, existsSync, fstatSync, mkdirSync, openSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { until } from "../support/until.ts";
import { within } from "../support/within.ts";
import { type BlockRecord, readBlockLog } from "./block-log.ts";
import { copySparse, Mount, run } from "./disk-tools.ts";

const END_MS_MAX = 20_000;

/** Compiles block-log.c into `folder`; returns the path of the program. */
export function compileBlockLog(folder: string): string {
  const program = join(folder, "block-log");
  const flags = run("pkg-config", "fuse3", "--cflags", "--libs").split(/\s+/);
  run("gcc", "-Wall", "-O2", join(import.meta.dirname, "block-log.c"), "-o", program, ...flags);
  return program;
}

/** A real ext4 whose disk records all that reaches it. `path` is where it is mounted. */
export class RecordedDisk {
  readonly path: string;
  readonly #log: string;
  readonly #logFile: number;
  readonly #fuse: ChildProcess;
  readonly #fusePath: string;
  readonly #mount: Mount;
  readonly #atExit = () => void spawnSync("fusermount3", ["-uz", this.#fusePath]);

  private constructor(log: string, fuse: ChildProcess, fusePath: string, mount: Mount) {
    this.#log = log;
    this.#logFile = openSync(log, "r");
    this.#fuse = fuse;
    this.#fusePath = fusePath;
    this.#mount = mount;
    this.path = mount.path;
    process.once("exit", this.#atExit);
  }

  /** Records a copy of the file system in `base`, within `folder`, which is to be empty. */
  static async start(program: string, base: string, folder: string): Promise<RecordedDisk> {
    const [image, log, fusePath] = ["disk.img", "disk.log", "fuse"].map((name) =>
      join(folder, name),
    ) as [string, string, string];
    mkdirSync(fusePath);
    copySparse(base, image);
    const fuse = spawn(program, [image, log, fusePath], { stdio: ["ignore", "ignore", "inherit"] });
    const disk = join(fusePath, "disk");
    await until("the block log is mounted", () => {
      if (fuse.exitCode !== null) throw new Error(`block-log ended with ${fuse.exitCode}`);
      return existsSync(disk);
    });
    try {
      return new RecordedDisk(log, fuse, fusePath, Mount.of(disk, join(folder, "recorded")));
    } catch (error) {
      spawnSync("fusermount3", ["-uz", fusePath]);
      throw error;
    }
  }

  /** How many bytes the log has now. What was flushed before is flushed within these. */
  readonly position = (): number => fstatSync(this.#logFile).size;

  /** Unmounts it and returns all records. */
  async stop(): Promise<BlockRecord[]> {
    this.#mount.unmount();
    const exit: Promise<unknown> =
      this.#fuse.exitCode === null ? once(this.#fuse, "exit") : Promise.resolve();
    // The loop device lets go of its file some time after it was unmounted.
    const release = () => spawnSync("fusermount3", ["-u", this.#fusePath]).status === 0;
    // A mount namespace that was made meanwhile does not: then it is taken out of sight, and the log ends here.
    await until("the block log can be unmounted", release).catch(() => {
      this.#atExit();
      this.#fuse.kill("SIGKILL");
    });
    await within(END_MS_MAX, "block-log does not end", exit);
    process.off("exit", this.#atExit);
    closeSync(this.#logFile);
    return readBlockLog(readFileSync(this.#log));
  }

  /** Gives it up after a failure, whoever still uses it, so that its folder can be removed. */
  abandon(): void {
    this.#mount.detach();
    this.#atExit();
    this.#fuse.kill("SIGKILL");
    process.off("exit", this.#atExit);
  }
}
