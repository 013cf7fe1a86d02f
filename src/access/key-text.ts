import { createPublicKey, type JsonWebKey } from "node:crypto";
import { FieldgateError } from "../base/errors.ts";

export const KEYS_BYTES_MAX = 256 * 1024;
const KEYS_MAX = 100;

/** A public key as tokens are verified with it. */
export type PublicKey = JsonWebKey & {
  readonly kid?: string;
  readonly alg?: string;
  readonly use?: string;
};

/**
 * The keys in a JSON Web Key Set, or the one in PEM (a public key or a certificate). Keys of a kind that no allowed
 * algorithm uses, a shared secret above all, are left out.
 * @throws FieldgateError ERR_TOKEN_KEYS when none is left
 */
export function parseKeys(text: string): readonly PublicKey[] {
  const keys = (text.includes("-----BEGIN ") ? [pemKey(text)] : setOf(text)).filter(isPublic);
  if (keys.length === 0) throw mistake("holds no public key for RS256, ES256 or EdDSA");
  if (keys.length > KEYS_MAX) throw mistake(`holds more than ${KEYS_MAX} keys`);
  return keys;
}

function pemKey(text: string): PublicKey {
  if (text.includes("PRIVATE KEY-----")) throw mistake("holds a private key: give the public one");
  try {
    return createPublicKey(text).export({ format: "jwk" });
  } catch (cause) {
    throw mistake("holds no public key in PEM", cause);
  }
}

function setOf(text: string): readonly PublicKey[] {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw mistake("is neither PEM nor JSON"); // its cause would repeat what stands there
  }
  const keys = (value as { keys?: unknown } | null)?.keys;
  if (!Array.isArray(keys)) throw mistake("has no list of keys: it must be a JSON Web Key Set");
  return keys.filter((key) => typeof key === "object" && key !== null);
}

function isPublic({ kty, d }: PublicKey): boolean {
  return d === undefined && (kty === "RSA" || kty === "EC" || kty === "OKP");
}

function mistake(what: string, cause?: unknown): FieldgateError {
  return new FieldgateError("ERR_TOKEN_KEYS", `what should be the keys of tokens ${what}`, {
    cause,
  });
}
