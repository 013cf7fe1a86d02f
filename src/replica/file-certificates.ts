import { mkdir, open, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import type { Clock } from "../base/clock.ts";
import { FieldgateError } from "../base/errors.ts";
import type { KeyPair } from "./x509-certificates.ts";

/** Where the two files of a certificate lie. */
export interface KeyPairFiles {
  readonly cert: string;
  readonly key: string;
}

/** The name of the authority's files in its directory. No gateway can have it: ids hold no blank, and "site-ca" is refused. */
const AUTHORITY = "site-ca";
const ID = /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/;

/**
 * Makes the certificate authority of a site, `site-ca.crt` and `site-ca.key`, in the directory, which is made when it is
 * not there. Files are 0600.
 * @throws FieldgateError ERR_USAGE for a name that is none, ERR_CERTIFICATE when there is one already or it cannot be written
 */
export async function initSite(
  site: string,
  directory: string,
  clock: Clock,
): Promise<KeyPairFiles> {
  checkName("site", site);
  const files = filesOf(directory, AUTHORITY);
  const { newAuthority } = await import("./x509-certificates.ts");
  await writePair(files, await newAuthority(site, clock));
  return files;
}

/**
 * Makes the certificate of a gateway, `ID.crt` and `ID.key`, signed by the authority in the directory.
 * @throws FieldgateError ERR_USAGE for an id that is none, ERR_CERTIFICATE when it has one already, when there is no authority, or
 *   the files cannot be written
 */
export async function enrollGateway(
  gateway: string,
  directory: string,
  clock: Clock,
): Promise<KeyPairFiles & { readonly site: string; readonly authority: string }> {
  checkName("gateway", gateway);
  if (gateway === AUTHORITY) {
    throw new FieldgateError("ERR_USAGE", `${AUTHORITY} is the name of the authority's files`);
  }
  const files = filesOf(directory, gateway);
  const from = filesOf(directory, AUTHORITY);
  const authority = { cert: await read(from.cert), key: await read(from.key) };
  const { newCertificate, siteOf } = await import("./x509-certificates.ts");
  await writePair(files, await newCertificate(gateway, authority, clock));
  return { ...files, site: siteOf(authority.cert), authority: from.cert };
}

function checkName(what: string, name: string): void {
  if (ID.test(name)) return;
  const message = `${JSON.stringify(name)} is not the name of a ${what}: letters, digits, dots, dashes or underscores`;
  throw new FieldgateError("ERR_USAGE", message);
}

function filesOf(directory: string, name: string): KeyPairFiles {
  return { cert: join(directory, `${name}.crt`), key: join(directory, `${name}.key`) };
}

async function read(path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (cause) {
    const message = `${path} cannot be read: make the authority first, with fieldgate site init, or name its directory`;
    throw new FieldgateError("ERR_CERTIFICATE", message, { cause, details: { path } });
  }
}

/** Both or none. What is there already stays as it is: others trust it. */
async function writePair(files: KeyPairFiles, pair: KeyPair): Promise<void> {
  await mkdir(join(files.key, ".."), { recursive: true, mode: 0o700 }).catch(() => undefined);
  await writeNew(files.key, pair.key);
  try {
    await writeNew(files.cert, pair.cert);
  } catch (error) {
    await rm(files.key, { force: true });
    throw error;
  }
}

async function writeNew(path: string, text: string): Promise<void> {
  try {
    const file = await open(path, "wx", 0o600);
    try {
      await file.writeFile(`${text}\n`);
      await file.sync();
    } finally {
      await file.close();
    }
  } catch (cause) {
    const isThere = cause instanceof Error && "code" in cause && cause.code === "EEXIST";
    const why = isThere
      ? "is there already: delete it yourself when it is no longer needed"
      : "cannot be written";
    throw new FieldgateError("ERR_CERTIFICATE", `${path} ${why}`, { cause, details: { path } });
  }
}
