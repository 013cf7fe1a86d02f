import { type FileHandle, open, readFile } from "node:fs/promises";
import { join } from "node:path";

/** LevelDB's log format (doc/log_format.md of LevelDB): blocks of so many bytes, each of records that none crosses. */
const BLOCK_BYTES = 32 * 1024;
/** Of a record: a checksum of 4 bytes, the length in 2, a type that is never 0. */
const HEADER_BYTES = 7;

/**
 * Whether a record of the MANIFEST that counts is nothing but zeros, as a page that the disk forgot. LevelDB takes that for the
 * end of what was written, says nothing, opens an older version of the store, and deletes what it does not know of. False where there is none, or none that can be
 * opened: LevelDB says so itself.
 */
export async function isManifestZeroed(directory: string): Promise<boolean> {
  const name = (await readFile(join(directory, "CURRENT"), "latin1").catch(() => "")).trim();
  if (!/^MANIFEST-\d+$/.test(name)) return false;
  const file = await open(join(directory, name), "r").catch(() => null);
  if (file === null) return false;
  try {
    return await hasZeroRecord(file);
  } finally {
    await file.close();
  }
}

async function hasZeroRecord(file: FileHandle): Promise<boolean> {
  const block = Buffer.alloc(BLOCK_BYTES);
  for (let from = 0; ; from += BLOCK_BYTES) {
    const { bytesRead } = await file.read(block, 0, BLOCK_BYTES, from);
    if (bytesRead === 0) return false;
    for (let at = 0; at + HEADER_BYTES <= bytesRead; ) {
      const [length, type] = [block.readUInt16LE(at + 4), block[at + 6]];
      if (length === 0 && type === 0) return true;
      at += HEADER_BYTES + length;
    }
  }
}
