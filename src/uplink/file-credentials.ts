import { readFile } from "node:fs/promises";
import { FieldgateError } from "../base/errors.ts";
import type { UplinkConfig } from "../config/schema.ts";

/** What proves to the cloud who we are, and to us who the cloud is. */
export interface Credentials {
  readonly password: Buffer | null;
  readonly ca: Buffer | null;
  readonly cert: Buffer | null;
  readonly key: Buffer | null;
}

/**
 * Reads the files that the configuration names. Called for every connection, so that renewed certificates and passwords
 * count without a restart. A line end after the password is no part of it.
 * @throws FieldgateError ERR_CONFIG_UNREADABLE naming the key and the file
 */
export async function readCredentials(options: UplinkConfig): Promise<Credentials> {
  const [password, ca, cert, key] = await Promise.all([
    read("passwordFile", options.passwordFile),
    read("caFile", options.caFile),
    read("certFile", options.certFile),
    read("keyFile", options.keyFile),
  ]);
  return { password: password === null ? null : withoutLineEnd(password), ca, cert, key };
}

async function read(key: string, path: string | undefined): Promise<Buffer | null> {
  if (path === undefined) return null;
  try {
    return await readFile(path);
  } catch (cause) {
    throw new FieldgateError("ERR_CONFIG_UNREADABLE", `the file of uplink.${key} cannot be read`, {
      cause,
      details: { key: `uplink.${key}`, path },
    });
  }
}

function withoutLineEnd(bytes: Buffer): Buffer {
  let end = bytes.length;
  if (bytes[end - 1] === 0x0a) end--;
  if (bytes[end - 1] === 0x0d) end--;
  return bytes.subarray(0, end);
}
