import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdir, readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";
import {
  ensureDirectory,
  isThere,
  linkOrCopy,
  moveAside,
  removeDirectory,
  syncDirectory,
  writeProbe,
} from "./file-store.ts";

/**
 * LevelDB trusts what it reads from a table: on some damage it does not fail, it ends the process. So what may be damaged is
 * repaired, and read for the first time, in a process of its own.
 */
const WORK = {
  repair: "await ClassicLevel.repair(directory);",
  read: `const db = new ClassicLevel(directory, { keyEncoding: "buffer", valueEncoding: "buffer" });
    await db.open({ createIfMissing: false });
    for await (const row of db.iterator({ fillCache: false })) void row;
    await db.close();`,
} as const;

/** Exit code: another process has the store. */
const LOCKED = 3;
const IS_DATA = /^(CURRENT|COPIED|MANIFEST-\d+|\d+\.(log|ldb|sst))$/;
const DROPPED = /dropping (\d+) bytes; Corruption/;

/**
 * The repair of a closed store, beside it. The files of LevelDB are written once, then only read and deleted, by a repair too: so
 * the copy shares them (hard links) where the file system can, and costs no room.
 *
 *     journal ── linked ──▶ mending/journal ── repaired, accepted ──▶ mended ──▶ journal, what was there being removed
 *
 * A crash leaves the store as it was as long as `mended` is not there, and the mended one from then on: `settle` ends what was begun.
 */
export class Mending {
  /** The copy is `journal` below it. */
  readonly path: string;
  readonly #parent: string;
  readonly #store: string;
  readonly #copy: string;
  readonly #mended: string;
  readonly #replaced: string;

  constructor(parent: string) {
    this.path = join(parent, "mending");
    this.#parent = parent;
    this.#store = join(parent, "journal");
    this.#copy = join(this.path, "journal");
    this.#mended = join(parent, "mended");
    this.#replaced = join(parent, "replaced");
  }

  /**
   * Makes the copy and repairs it. Resolves with how many of its files were lost; null when it cannot be repaired.
   * @throws when the disk does not let it, and the reason of `signal`
   */
  async repair(signal: AbortSignal): Promise<number | null> {
    await copyStore(this.#store, this.#copy);
    if (
      (await inOwnProcess("repair", this.#copy, signal)) !== 0 ||
      (await inOwnProcess("read", this.#copy, signal)) !== 0
    ) {
      // Is it the store or the disk?
      await writeProbe(this.path);
      return null;
    }
    await syncDirectory(this.#copy, 0, /./);
    const lost = await readdir(join(this.#copy, "lost")).catch(() => []);
    return lost.filter((name) => /\.(ldb|sst)$/.test(name)).length;
  }

  /** Puts the copy in the place of the store. @param quarantine where to keep the files that were lost */
  async replace(quarantine: string | null): Promise<void> {
    if (quarantine !== null) await moveAside(join(this.#copy, "lost"), quarantine);
    else await removeDirectory(join(this.#copy, "lost"));
    await syncDirectory(this.#copy, 0, /./);
    await moveAside(this.#copy, this.#mended);
    await syncDirectory(this.#parent, 0, /^$/);
    await this.settle();
  }

  async settle(): Promise<void> {
    if (await isThere(this.#mended)) {
      if (await isThere(this.#store)) {
        await removeDirectory(this.#replaced);
        await moveAside(this.#store, this.#replaced);
      }
      await moveAside(this.#mended, this.#store);
    }
    await removeDirectory(this.#replaced);
  }

  async end(): Promise<void> {
    await removeDirectory(this.path);
  }
}

/**
 * What comes of opening a store and reading it from end to end; of one that does not exist yet, nothing bad.
 * @throws when it is the disk that does not let it, and the reason of `signal`
 */
export async function tryReading(
  directory: string,
  signal: AbortSignal,
): Promise<"sound" | "damaged" | "locked"> {
  const names = await readdir(directory).catch(() => []);
  if (!names.some((name) => IS_DATA.test(name))) return "sound";
  const code = await inOwnProcess("read", directory, signal);
  if (code === 0) return "sound";
  if (code === LOCKED) return "locked";
  await writeProbe(directory);
  return "damaged";
}

/**
 * Bytes of its log that LevelDB could not use when the store was opened: what was being written when the power was cut, or
 * damage. It only tells its own log.
 */
export async function droppedFromLogs(directory: string): Promise<number> {
  const text = await readFile(join(directory, "LOG"), "latin1").catch(() => "");
  return text.split("\n").reduce((sum, line) => sum + Number(DROPPED.exec(line)?.[1] ?? 0), 0);
}

async function copyStore(from: string, to: string): Promise<void> {
  await removeDirectory(to);
  await ensureDirectory(to);
  for (const name of await readdir(from).catch(() => [])) {
    if (IS_DATA.test(name)) await linkOrCopy(join(from, name), join(to, name));
  }
}

/** The exit code. When the signal aborts, the process is gone before its reason is thrown: nobody holds the store then. */
async function inOwnProcess(
  work: keyof typeof WORK,
  directory: string,
  signal: AbortSignal,
): Promise<number | null> {
  signal.throwIfAborted();
  const level = createRequire(import.meta.url).resolve("classic-level");
  const script = `const [level, directory] = process.argv.slice(1);
    const { ClassicLevel } = require(level);
    (async () => { ${WORK[work]} })().catch((error) =>
      process.exit(error.cause?.code === "LEVEL_LOCKED" ? ${LOCKED} : 1));`;
  const child = spawn(process.execPath, ["-e", script, level, directory], { stdio: "ignore" });
  const end = () => void child.kill("SIGKILL");
  signal.addEventListener("abort", end, { once: true });
  try {
    const [code] = await once(child, "exit");
    signal.throwIfAborted();
    return code;
  } finally {
    signal.removeEventListener("abort", end);
  }
}
