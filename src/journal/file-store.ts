import { mkdir, open, readdir, rename, rm, stat, statfs } from "node:fs/promises";
import { dirname, join } from "node:path";

/**
 * Makes a directory, its files and its place in the file system durable: LevelDB syncs neither a new MANIFEST nor the
 * directory after it renamed CURRENT, and a store whose CURRENT is gone after a power cut cannot be opened.
 * @param parents how many directories above it are synced too
 */
export async function syncDirectory(path: string, parents: number): Promise<void> {
  for (const name of await readdir(path)) {
    if (/^(CURRENT|MANIFEST-\d+|\d+\.log)$/.test(name)) await sync(join(path, name));
  }
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

/** Makes the directory, durably, where it is not there. */
export async function ensureDirectory(path: string): Promise<void> {
  await mkdir(path, { recursive: true, mode: 0o750 });
}

/** Renames a directory within its parent, and makes that durable. */
export async function moveAside(path: string, to: string): Promise<void> {
  await rename(path, to);
  await sync(dirname(path));
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
