import {
  constants,
  copyFile,
  link,
  mkdir,
  open,
  readdir,
  readFile,
  rename,
  rm,
  stat,
} from "node:fs/promises";
import { join } from "node:path";
import type { Clock } from "../base/clock.ts";
import { FieldgateError } from "../base/errors.ts";
import { isoTime } from "../base/wall-time.ts";
import { COPY_MARK } from "./file-copy-mark.ts";
import {
  directoryBytes,
  freeBytesAt,
  namesIn,
  removeDirectory,
  syncDirectory,
} from "./file-store.ts";

/**
 * Copies of a LevelDB store that another process writes meanwhile, without asking it. LevelDB never changes a table (.ldb) once
 * it is written, only appends to logs, and names in its MANIFEST, by appending too, which tables and logs count. So
 * tables are linked, which takes no room, and logs copied, oldest first, so that one that was copied whole never lies before one that was
 * copied in part. A MANIFEST that has not grown meanwhile says that all it names was there: if it has grown, once more.
 *
 * What was acknowledged before the copy began is in it: it was in the logs. A link keeps a table's room taken until the last copy
 * that has it is deleted: `keep` bounds how many there are.
 */
export interface Backup {
  readonly path: string;
  readonly bytes: number;
  /** Tables that take no room of their own, for now. */
  readonly linked: number;
  readonly attempts: number;
  /** Older ones that were deleted. */
  readonly deleted: readonly string[];
}

export interface BackupOptions {
  /** The directory `journal` of a store. */
  readonly journal: string;
  /** Where the copies are, each in a directory named by its time. */
  readonly to: string;
  /** The newest so many stay. */
  readonly keep: number;
}

const MAKING = "incomplete";
const ATTEMPTS_MAX = 50;
const PAUSE_MS_MAX = 1000;
const NAME = /^\d{4}-\d\d-\d\dT[\d-]+Z$/;

/** @throws FieldgateError ERR_BACKUP: nothing to copy, no room, or a store that changes too fast */
export async function backUp(options: BackupOptions, clock: Clock): Promise<Backup> {
  const { journal, to, keep } = options;
  const making = join(to, MAKING);
  try {
    await mkdir(to, { recursive: true, mode: 0o700 });
    await removeDirectory(making);
    await assertRoom(journal, to);
    for (let attempt = 1; attempt <= ATTEMPTS_MAX; attempt++) {
      const linked = await copyOnce(journal, making);
      if (linked === null) {
        await removeDirectory(making);
        await clock.sleep(Math.min(PAUSE_MS_MAX, 10 * 2 ** attempt));
        continue;
      }
      await syncDirectory(making, 0);
      const path = join(to, isoTime(clock.wallMs()).replaceAll(/[:.]/g, "-"));
      await rename(making, path);
      await syncDirectory(to, 1);
      const bytes = await directoryBytes(path);
      return { path, bytes, linked, attempts: attempt, deleted: await prune(to, keep) };
    }
  } catch (cause) {
    await removeDirectory(making).catch(() => {});
    if (cause instanceof FieldgateError) throw cause;
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new FieldgateError("ERR_BACKUP", `${journal} cannot be backed up to ${to}: ${why}`, {
      cause,
    });
  }
  const tries = `${ATTEMPTS_MAX} times`;
  throw new FieldgateError("ERR_BACKUP", `${journal} changed while it was copied, ${tries}`);
}

/** One attempt, into `to`; the tables that it linked, or null when the store has changed meanwhile. */
async function copyOnce(journal: string, to: string): Promise<number | null> {
  await mkdir(to, { mode: 0o700 });
  const before = await manifestOf(journal);
  const names = await readdir(journal);
  let linked = 0;
  for (const name of names.filter((each) => /^\d+\.(?:ldb|sst)$/.test(each))) {
    if (await linkOrCopy(join(journal, name), join(to, name))) linked++;
  }
  const logs = names.filter((each) => /^\d+\.log$/.test(each));
  for (const name of logs.sort((a, b) => Number.parseInt(a, 10) - Number.parseInt(b, 10))) {
    await unlessGone(copyFile(join(journal, name), join(to, name)));
  }
  await unlessGone(copyFile(join(journal, before.name), join(to, before.name)));
  const after = await manifestOf(journal);
  if (after.name !== before.name || after.bytes !== before.bytes) return null;
  await writeWhole(join(to, "CURRENT"), `${before.name}\n`);
  await writeWhole(join(to, COPY_MARK), "");
  return linked;
}

async function manifestOf(
  journal: string,
): Promise<{ readonly name: string; readonly bytes: number }> {
  const name = (await readFile(join(journal, "CURRENT"), "utf8")).trim();
  const file = await stat(join(journal, name)).catch(() => null);
  return { name, bytes: file?.size ?? 0 };
}

/** Whether it was linked: on another file system it is copied. What is gone by now is not named by the MANIFEST. */
async function linkOrCopy(from: string, to: string): Promise<boolean> {
  try {
    await link(from, to);
    return true;
  } catch (error) {
    if (isGone(error)) return false;
    await unlessGone(copyFile(from, to, constants.COPYFILE_FICLONE));
    return false;
  }
}

/** Tables live on until the last copy that links them goes, so a copy may come to need what the store has. */
async function assertRoom(journal: string, to: string): Promise<void> {
  const [bytes, free] = await Promise.all([directoryBytes(journal), freeBytesAt(to)]);
  if (free >= bytes) return;
  const mib = (count: number) => `${Math.ceil(count / 2 ** 20)} MiB`;
  throw new FieldgateError(
    "ERR_BACKUP",
    `${to} has ${mib(free)} free, and the store has ${mib(bytes)}: keep fewer copies, or give another --to`,
  );
}

async function prune(to: string, keep: number): Promise<string[]> {
  const names = (await namesIn(to)).filter((name) => NAME.test(name)).sort();
  const old = names.slice(0, Math.max(0, names.length - keep));
  for (const name of old) await rm(join(to, name), { recursive: true });
  return old;
}

async function writeWhole(path: string, text: string): Promise<void> {
  const file = await open(path, "w", 0o600);
  try {
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
}

async function unlessGone(work: Promise<void>): Promise<void> {
  await work.catch((error: unknown) => {
    if (!isGone(error)) throw error;
  });
}

function isGone(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "ENOENT";
}
