import { X509Certificate } from "node:crypto";
import { wallMsOf } from "../base/wall-time.ts";

const PEM = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;
/** Of extended key usage (RFC 5280, 4.2.1.12). */
const CLIENT_AUTH = "1.3.6.1.5.5.7.3.2";
const CHAIN_MAX = 10;

export function certificatesIn(pem: Buffer): readonly X509Certificate[] {
  return (pem.toString("latin1").match(PEM) ?? []).map((each) => new X509Certificate(each));
}

/** Of a certificate that was verified once: whether it, or one of those that lead to its root, is signed by one of the authorities. */
export function isVouchedFor(
  certificate: X509Certificate,
  authorities: readonly X509Certificate[],
): boolean {
  let link: X509Certificate | undefined = certificate;
  for (let length = 0; link !== undefined && length < CHAIN_MAX; length++) {
    if (isSigned(link, authorities)) return true;
    link = (link as { readonly issuerCertificate?: X509Certificate }).issuerCertificate;
  }
  return false;
}

/**
 * Of a certificate that was not verified: whether one of the authorities has signed it itself, for a client, whatever its time. What
 * others have signed in between is not followed.
 */
export function isSignedFor(
  certificate: X509Certificate,
  authorities: readonly X509Certificate[],
): boolean {
  const usage = certificate.keyUsage as readonly string[] | undefined;
  if (certificate.ca || (usage !== undefined && !usage.includes(CLIENT_AUTH))) return false;
  return isSigned(
    certificate,
    authorities.filter(({ ca }) => ca),
  );
}

/** Null when the certificate's time is now; else why not. */
export function isOfNow(certificate: X509Certificate, wallMs: number): string | null {
  if (wallMs > wallMsOf(certificate.validTo)) return "client certificate has ended";
  return wallMs < wallMsOf(certificate.validFrom) ? "client certificate not valid yet" : null;
}

function isSigned(certificate: X509Certificate, authorities: readonly X509Certificate[]): boolean {
  return authorities.some((by) => certificate.checkIssued(by) && certificate.verify(by.publicKey));
}
