import { constants, type Stats } from "node:fs";
import { open } from "node:fs/promises";

/**
 * What is in a file of at most so many bytes, read as one: what was written in one piece is not cut. A pipe would be waited for, on
 * one of the few threads that the disk has, and a device may never end, so only a file, or a link to one, is read.
 * @throws Error that says why not
 */
export async function readFileBytes(
  path: string,
  bytesMax: number,
): Promise<{ readonly bytes: Buffer; readonly stats: Stats }> {
  const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    const stats = await file.stat();
    if (!stats.isFile()) throw new Error("it is no file");
    if (stats.size > bytesMax) throw new Error(`it is larger than ${bytesMax} bytes`);
    const bytes = Buffer.alloc(stats.size + 1);
    let length = 0;
    for (let read = -1; read !== 0 && length < bytes.length; length += read) {
      ({ bytesRead: read } = await file.read(bytes, length, bytes.length - length, length));
    }
    if (length > stats.size) throw new Error("it grew while it was read");
    return { bytes: bytes.subarray(0, length), stats };
  } finally {
    await file.close();
  }
}

/** The same, as text. */
export async function readFileText(
  path: string,
  bytesMax: number,
): Promise<{ readonly text: string; readonly stats: Stats }> {
  const { bytes, stats } = await readFileBytes(path, bytesMax);
  return { text: bytes.toString("utf8"), stats };
}
