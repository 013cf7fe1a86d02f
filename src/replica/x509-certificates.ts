import "reflect-metadata";
import type { webcrypto } from "node:crypto";
import * as x509 from "@peculiar/x509";
import type { Clock } from "../base/clock.ts";
import { FieldgateError } from "../base/errors.ts";

/** A certificate and its private key, as PEM. */
export interface KeyPair {
  readonly cert: string;
  readonly key: string;
}

const DAY_MS = 86_400_000;
/** Gateways live long, without anybody who renews something. */
const AUTHORITY_DAYS = 7300;
const GATEWAY_DAYS = 3650;
/** A gateway without a battery for its clock is behind at first. */
const BEFORE_DAYS = 365;
const ALGORITHM = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const;

/** The certificate authority of a site: signs its gateways, and nothing below them. */
export async function newAuthority(site: string, clock: Clock): Promise<KeyPair> {
  const keys = await newKeys();
  const usage = x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign;
  const cert = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: newSerial(),
    name: nameOf(site, "fieldgate site authority"),
    ...validFor(AUTHORITY_DAYS, clock),
    signingAlgorithm: ALGORITHM,
    keys,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(usage, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return { cert: cert.toString("pem"), key: await pemOf(keys.privateKey) };
}

/**
 * The certificate of a gateway: its subject's common name is the gateway's id, the organization its site.
 * @throws FieldgateError ERR_CERTIFICATE when the authority is none, or its key is another one's
 */
export async function newCertificate(
  gateway: string,
  authority: KeyPair,
  clock: Clock,
): Promise<KeyPair> {
  const issuer = await openAuthority(authority);
  const keys = await newKeys();
  const usage = [x509.ExtendedKeyUsage.serverAuth, x509.ExtendedKeyUsage.clientAuth];
  const cert = await x509.X509CertificateGenerator.create({
    serialNumber: newSerial(),
    subject: nameOf(issuer.site, gateway),
    issuer: issuer.cert.subjectName,
    ...validFor(GATEWAY_DAYS, clock),
    signingAlgorithm: ALGORITHM,
    publicKey: keys.publicKey,
    signingKey: issuer.key,
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension(usage),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
      await x509.AuthorityKeyIdentifierExtension.create(issuer.cert.publicKey),
    ],
  });
  if (!(await cert.verify({ publicKey: issuer.cert.publicKey, signatureOnly: true }))) {
    throw notAnAuthority("the key is not that of the certificate");
  }
  return { cert: cert.toString("pem"), key: await pemOf(keys.privateKey) };
}

/**
 * The site that an authority is of.
 * @throws FieldgateError ERR_CERTIFICATE when it is none
 */
export function siteOf(cert: string): string {
  return openCertificate(cert).site;
}

async function openAuthority({ cert, key }: KeyPair) {
  const opened = openCertificate(cert);
  try {
    const [pem] = x509.PemConverter.decode(key);
    if (pem === undefined) throw new Error("it holds no PEM");
    const signing = await crypto.subtle.importKey("pkcs8", pem, ALGORITHM, false, ["sign"]);
    return { ...opened, key: signing };
  } catch (cause) {
    throw notAnAuthority("its private key cannot be read", cause);
  }
}

function openCertificate(pem: string) {
  let cert: x509.X509Certificate;
  try {
    cert = new x509.X509Certificate(pem);
  } catch (cause) {
    throw notAnAuthority("the file holds no certificate", cause);
  }
  const site = cert.subjectName.getField("O")[0];
  if (cert.getExtension(x509.BasicConstraintsExtension)?.ca !== true || site === undefined) {
    throw notAnAuthority("it may not sign gateways");
  }
  return { cert, site };
}

function notAnAuthority(why: string, cause?: unknown): FieldgateError {
  const message = `this is not the certificate authority of a site: ${why}`;
  return new FieldgateError("ERR_CERTIFICATE", message, { cause });
}

async function newKeys(): Promise<webcrypto.CryptoKeyPair> {
  return await crypto.subtle.generateKey(ALGORITHM, true, ["sign", "verify"]);
}

async function pemOf(key: webcrypto.CryptoKey): Promise<string> {
  return x509.PemConverter.encode(await crypto.subtle.exportKey("pkcs8", key), "PRIVATE KEY");
}

/** 16 random bytes, positive and not 0 (RFC 5280, 4.1.2.2). */
function newSerial(): string {
  const bytes = crypto.getRandomValues(Buffer.alloc(16));
  bytes[0] = ((bytes[0] ?? 0) & 0x3f) | 0x40;
  return bytes.toString("hex");
}

function nameOf(site: string, common: string): string {
  return new x509.Name([{ O: [site] }, { CN: [common] }]).toString();
}

function validFor(days: number, clock: Clock) {
  const nowMs = clock.wallMs();
  return {
    notBefore: new globalThis.Date(nowMs - BEFORE_DAYS * DAY_MS),
    notAfter: new globalThis.Date(nowMs + days * DAY_MS),
  };
}
