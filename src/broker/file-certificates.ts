import { createPrivateKey, type KeyObject, X509Certificate } from "node:crypto";
import { createSecureContext } from "node:tls";
import { FieldgateError } from "../base/errors.ts";
import { readFileBytes } from "../base/file-text.ts";
import { wallMsOf } from "../base/wall-time.ts";

/** Where the certificate of a TLS listener, its key and the issuers of its clients' certificates lie. */
export interface CertificateFiles {
  /** Of the listener, for messages. */
  readonly name: string;
  readonly certFile?: string | undefined;
  readonly keyFile?: string | undefined;
  readonly clientCaFile?: string | undefined;
}

/** What a TLS listener shows and trusts. Its files belong together and OpenSSL takes them. */
export interface Certificates {
  readonly cert: Buffer;
  readonly key: Buffer;
  readonly clientCa: Buffer | null;
  readonly subject: string;
  /** Milliseconds since the Unix epoch. */
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
}

const FILE_BYTES_MAX = 2 ** 20;

/**
 * Reads the files and makes sure that they can be used together.
 * @throws FieldgateError ERR_CONFIG_UNREADABLE, or ERR_CERTIFICATE; both name the key and the file, neither what is in it
 */
export async function readCertificates(files: CertificateFiles): Promise<Certificates> {
  const [cert, key, clientCa] = await Promise.all([
    read(files, "certFile"),
    read(files, "keyFile"),
    files.clientCaFile === undefined ? null : read(files, "clientCaFile"),
  ]);
  const certificate = certificateIn(files, "certFile", cert);
  const privateKey = keyIn(files, key);
  if (!certificate.checkPrivateKey(privateKey)) {
    throw unusable(files, "keyFile", "is not the key of the certificate in certFile");
  }
  if (clientCa !== null) certificateIn(files, "clientCaFile", clientCa);
  try {
    createSecureContext({ cert, key, ...(clientCa && { ca: clientCa }) });
  } catch (cause) {
    throw unusable(files, "certFile", `is not taken by OpenSSL: ${said(cause)}`, cause);
  }
  return {
    cert,
    key,
    clientCa,
    subject: certificate.subject?.replaceAll("\n", ", ") ?? "",
    notBeforeMs: wallMsOf(certificate.validFrom),
    notAfterMs: wallMsOf(certificate.validTo),
  };
}

type FileKey = "certFile" | "keyFile" | "clientCaFile";

async function read(files: CertificateFiles, key: FileKey): Promise<Buffer> {
  const path = files[key] ?? "";
  try {
    return (await readFileBytes(path, FILE_BYTES_MAX)).bytes;
  } catch (cause) {
    const message = `the ${key} of listener ${files.name} cannot be read: ${said(cause)}`;
    const details = { listener: files.name, key, path };
    throw new FieldgateError("ERR_CONFIG_UNREADABLE", message, { cause, details });
  }
}

/** The first certificate of a file, which is the listener's own. */
function certificateIn(files: CertificateFiles, key: FileKey, pem: Buffer): X509Certificate {
  if (!pem.includes("-----BEGIN CERTIFICATE-----")) {
    throw unusable(files, key, "holds no certificate in PEM");
  }
  try {
    return new X509Certificate(pem);
  } catch (cause) {
    throw unusable(files, key, `holds a damaged certificate: ${said(cause)}`, cause);
  }
}

function keyIn(files: CertificateFiles, pem: Buffer): KeyObject {
  if (!pem.includes("PRIVATE KEY-----")) {
    throw unusable(files, "keyFile", "holds no private key in PEM");
  }
  if (pem.includes("ENCRYPTED"))
    throw unusable(files, "keyFile", "is encrypted: nobody could say the passphrase");
  try {
    return createPrivateKey(pem);
  } catch (cause) {
    throw unusable(files, "keyFile", `holds a damaged key: ${said(cause)}`, cause);
  }
}

function unusable(
  files: CertificateFiles,
  key: FileKey,
  what: string,
  cause?: unknown,
): FieldgateError {
  const path = files[key];
  const message = `the ${key} of listener ${files.name} ${what} (${path})`;
  const details = { listener: files.name, key, path };
  return new FieldgateError("ERR_CERTIFICATE", message, { cause, details });
}

function said(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}
