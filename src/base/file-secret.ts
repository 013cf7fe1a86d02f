import { readFile } from "node:fs/promises";
import { FieldgateError } from "./errors.ts";

/**
 * What stands in a file that the configuration names.
 * @param key that names it
 * @throws FieldgateError ERR_CONFIG_UNREADABLE naming the key and the file
 */
export async function readNamed(key: string, path: string): Promise<Buffer> {
  try {
    return await readFile(path);
  } catch (cause) {
    const details = { key, path };
    const message = `the file of ${key} cannot be read`;
    throw new FieldgateError("ERR_CONFIG_UNREADABLE", message, { cause, details });
  }
}

/** The password in such a file: a line end after it is no part of it. */
export async function readPassword(key: string, path: string): Promise<Buffer> {
  const bytes = await readNamed(key, path);
  let end = bytes.length;
  if (bytes[end - 1] === 0x0a) end--;
  if (bytes[end - 1] === 0x0d) end--;
  return bytes.subarray(0, end);
}
