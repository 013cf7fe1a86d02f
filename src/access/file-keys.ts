import { FieldgateError } from "../base/errors.ts";
import { readFileText } from "../base/file-text.ts";
import { KEYS_BYTES_MAX } from "./key-text.ts";

/** The text of a file with keys, or with whom to trust. @throws FieldgateError ERR_CONFIG_UNREADABLE */
export async function readKeys(path: string): Promise<string> {
  try {
    return (await readFileText(path, KEYS_BYTES_MAX)).text;
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    const message = `the keys of tokens in ${path} cannot be read: ${why}`;
    throw new FieldgateError("ERR_CONFIG_UNREADABLE", message, { cause, details: { path } });
  }
}
