import { open, readFile, rename } from "node:fs/promises";
import { dirname, join } from "node:path";

/**
 * A file in a copy of a store: the store that it was made of may have gone on, and given out seqs that the copy does not know of. The
 * first start on the copy writes into it the seq beyond which it goes on; it stays, so that this is decided once, whatever the
 * power does.
 */
export const COPY_MARK = "COPIED";

/**
 * The seq beyond which the copy in `directory` goes on; null when it is no copy.
 * @param choose draws it, when this is the first start
 */
export async function farSeqOf(directory: string, choose: () => number): Promise<number | null> {
  const path = join(directory, COPY_MARK);
  const text = await readFile(path, "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return null;
    throw error;
  });
  if (text === null) return null;
  if (/^\d+\n$/.test(text)) return Number(text);
  const farSeq = choose();
  await replace(path, `${farSeq}\n`);
  return farSeq;
}

async function replace(path: string, text: string): Promise<void> {
  const fresh = await open(`${path}.new`, "w", 0o600);
  try {
    await fresh.writeFile(text);
    await fresh.sync();
  } finally {
    await fresh.close();
  }
  await rename(`${path}.new`, path);
  const directory = await open(dirname(path), "r");
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}
