import { randomBytes, scrypt, timingSafeEqual } from "node:crypto";

/**
 * A password as it is kept: `$scrypt$ln=15,r=8,p=1$SALT$HASH`, the form of the PHC, base64 without padding. The cost stands
 * with each hash, so that it can be raised without asking anybody for a new password.
 */
export interface PasswordHash {
  /** Base-two logarithm of the cost: memory is 128 × r × 2^ln bytes. */
  readonly ln: number;
  readonly r: number;
  readonly p: number;
  readonly salt: Buffer;
  readonly hash: Buffer;
}

/** 32 MiB and about 0.1 s on a desktop, half a second on a Raspberry Pi 4. */
export const COST = { ln: 15, r: 8, p: 1 } as const;

const SALT_BYTES = 16;
const HASH_BYTES = 32;
/** A file must not make the gateway work for minutes, or want more memory than it has. */
const MEMORY_BYTES_MAX = 256 * 2 ** 20;
const FORM = /^\$scrypt\$ln=(\d{1,2}),r=(\d{1,2}),p=(\d{1,2})\$([A-Za-z0-9+/]+)\$([A-Za-z0-9+/]+)$/;

/** Hashes a new password. */
export async function hashPassword(
  password: Buffer,
  cost: Pick<PasswordHash, "ln" | "r" | "p"> = COST,
): Promise<string> {
  const salt = randomBytes(SALT_BYTES);
  const hash = await derive(password, { ...cost, salt }, HASH_BYTES);
  return `$scrypt$ln=${cost.ln},r=${cost.r},p=${cost.p}$${base64(salt)}$${base64(hash)}`;
}

/** Whether that is the password. Takes as long for a wrong one as for the right one. One with a null character never is. */
export async function isPassword(password: Buffer, known: PasswordHash): Promise<boolean> {
  return isSame(await derive(password, known, known.hash.length), password, known);
}

/** Whether the hash that was derived from a password is the one that is known. */
export function isSame(hash: Uint8Array, password: Buffer, known: PasswordHash): boolean {
  // To HMAC, on which scrypt stands, "x" and "x\0" are the same key (RFC 2104: shorter keys are filled up with zeros).
  return timingSafeEqual(hash, known.hash) && !password.includes(0);
}

/** What Node's scrypt is to be told of the cost. */
export function costOptions({ ln, r, p }: Pick<PasswordHash, "ln" | "r" | "p">) {
  return { N: 2 ** ln, r, p, maxmem: 2 * MEMORY_BYTES_MAX };
}

/** Null when the text is not such a hash, or asks for more than a gateway has. */
export function parsePasswordHash(text: string): PasswordHash | null {
  const found = FORM.exec(text);
  if (found === null) return null;
  const [ln, r, p] = [Number(found[1]), Number(found[2]), Number(found[3])] as const;
  const salt = Buffer.from(found[4] ?? "", "base64");
  const hash = Buffer.from(found[5] ?? "", "base64");
  const isCostly = 128 * r * 2 ** ln > MEMORY_BYTES_MAX || p > 4;
  if (ln < 10 || r < 1 || p < 1 || isCostly) return null;
  return salt.length < 8 || hash.length < 16 || hash.length > 64 ? null : { ln, r, p, salt, hash };
}

function derive(
  password: Buffer,
  cost: Omit<PasswordHash, "hash">,
  bytes: number,
): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    scrypt(password, cost.salt, bytes, costOptions(cost), (error, hash) => {
      if (error === null) resolve(hash);
      else reject(error);
    });
  });
}

function base64(bytes: Buffer): string {
  return bytes.toString("base64").replace(/=+$/, "");
}
