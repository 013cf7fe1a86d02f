import { randomBytes } from "node:crypto";
import { copyFile, link, mkdir, open, readdir, rename, rm, stat, statfs } from "node:fs/promises";
import { dirname, join } from "node:path";

const PROBE_BYTES = 64 * 1024;

/**
 * Makes a directory, its files and its place in the file system durable: LevelDB syncs neither a new MANIFEST nor the
 * directory after it renamed CURRENT, and a store whose CURRENT is gone after a power cut cannot be opened.
 * @param parents how many directories above it are synced too
 * @param files which of its files are
 */
export async function syncDirectory(
  path: string,
  parents: number,
  files = /^(CURRENT|MANIFEST-\d+|\d+\.log)$/,
): Promise<void> {
  for (const name of await readdir(path)) if (files.test(name)) await sync(join(path, name));
  let directory = path;
  for (let level = 0; level <= parents; level++) {
    await sync(directory).catch((error: NodeJS.ErrnoException) => {
      // A parent that may not even be read is not ours, and nothing of ours was made in it.
      if (level === 0 || error.code !== "EACCES") throw error;
    });
    directory = dirname(directory);
  }
}

/** Bytes that the files of a directory occupy, as far as they say. A file that vanishes meanwhile counts nothing. */
export async function directoryBytes(path: string): Promise<number> {
  const sizes = (await readdir(path)).map(async (name) => {
    const file = await stat(join(path, name)).catch(() => null);
    return file === null ? 0 : Math.min(file.size, file.blocks * 512);
  });
  return (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0);
}

/** What the file system would still take from who is not root. */
export async function freeBytesAt(path: string): Promise<number> {
  const { bavail, bsize } = await statfs(path);
  return bavail * bsize;
}

/**
 * Makes the directory, and those above it, where they are not there. Step by step: of a disk that is full or read-only, Node's
 * recursive way says that there is no such directory.
 */
export async function ensureDirectory(path: string): Promise<void> {
  const make = () => mkdir(path, { mode: 0o750 });
  await make()
    .catch(async (error: NodeJS.ErrnoException) => {
      if (error.code !== "ENOENT" || path === dirname(path)) throw error;
      await ensureDirectory(dirname(path));
      await make();
    })
    .catch((error: NodeJS.ErrnoException) => {
      if (error.code !== "EEXIST") throw error;
    });
}

/** Renames a directory within its parent, and makes that durable. */
export async function moveAside(path: string, to: string): Promise<void> {
  await rename(path, to);
  await sync(dirname(path));
}

/** A second name for a file, or a copy of it where the file system knows none. */
export async function linkOrCopy(path: string, to: string): Promise<void> {
  await link(path, to).catch(() => copyFile(path, to));
}

/** Throws when the disk takes no write just now. */
export async function writeProbe(directory: string): Promise<void> {
  const path = join(directory, "probe");
  const file = await open(path, "w", 0o640);
  try {
    await file.write(randomBytes(PROBE_BYTES));
    await file.sync();
  } finally {
    await file.close();
    await rm(path, { force: true });
  }
}

export async function isThere(path: string): Promise<boolean> {
  return (await stat(path).catch(() => null)) !== null;
}

/** True when there is data of LevelDB but nothing that says which: it would begin anew and delete the rest. */
export async function lacksCurrent(path: string): Promise<boolean> {
  const names = await readdir(path);
  return (
    !names.includes("CURRENT") && names.some((name) => /\.(log|ldb|sst)$|^MANIFEST-/.test(name))
  );
}

async function sync(path: string): Promise<void> {
  const file = await open(path, "r");
  try {
    await file.sync();
  } finally {
    await file.close();
  }
}

/** What a directory holds; nothing when it is not there. */
export async function namesIn(path: string): Promise<readonly string[]> {
  return await readdir(path).catch(() => []);
}

export async function removeDirectory(path: string): Promise<void> {
  await rm(path, { recursive: true, force: true });
}
