import { readNamed, readPassword } from "../base/file-secret.ts";
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
  const { passwordFile, caFile, certFile, keyFile } = options;
  const [password, ca, cert, key] = await Promise.all([
    passwordFile === undefined ? null : readPassword("uplink.passwordFile", passwordFile),
    caFile === undefined ? null : readNamed("uplink.caFile", caFile),
    certFile === undefined ? null : readNamed("uplink.certFile", certFile),
    keyFile === undefined ? null : readNamed("uplink.keyFile", keyFile),
  ]);
  return { password, ca, cert, key };
}
