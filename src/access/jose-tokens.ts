import type { JWK, JWTPayload, JWTVerifyResult } from "jose";
import { dateOf } from "../base/wall-time.ts";

/** How a token may be signed, and by what kind of key. There is no other choice, whatever the token says. */
const ALGORITHMS: Readonly<Record<string, (key: JWK) => boolean>> = {
  RS256: ({ kty }) => kty === "RSA",
  ES256: ({ kty, crv }) => kty === "EC" && crv === "P-256",
  EdDSA: ({ kty, crv }) => kty === "OKP" && crv === "Ed25519",
};

/** Of keys that fit a token without `kid`, so many are tried. */
const KEYS_TRIED_MAX = 8;

export interface TokenDemands {
  readonly issuer: string;
  readonly audience: string;
  readonly toleranceSeconds: number;
  /** Null: the clock is not to be believed, so the token's times are not looked at. */
  readonly wallMs: number | null;
}

export type TokenFound =
  | { readonly claims: JWTPayload; readonly endsMs: number }
  | { readonly claims: null; readonly reason: string };

/** Why no key fits: those we have may be old. */
export const KEY_NOT_KNOWN = "token key not known";

/**
 * Verifies a signed token with whichever of the keys fits it. The library is loaded with the first token, not with the
 * gateway. Never rejects.
 */
export async function verifyToken(
  token: string,
  keys: readonly JWK[],
  demands: TokenDemands,
): Promise<TokenFound> {
  const jose = await import("jose");
  let wanted: readonly JWK[];
  let ends: number | undefined;
  try {
    const { alg = "", kid } = jose.decodeProtectedHeader(token);
    const fits = Object.hasOwn(ALGORITHMS, alg) ? ALGORITHMS[alg] : undefined;
    if (fits === undefined) return refused("token algorithm not allowed");
    ends = jose.decodeJwt(token).exp;
    wanted = keys.filter(
      (key) =>
        fits(key) &&
        (key.alg === undefined || key.alg === alg) &&
        (key.use === undefined || key.use === "sig") &&
        (kid === undefined || key.kid === undefined || key.kid === kid),
    );
  } catch {
    return refused("token malformed");
  }
  if (typeof ends !== "number" || !Number.isFinite(ends)) return refused("token without an end");
  if (wanted.length === 0) return refused(KEY_NOT_KNOWN);
  const { issuer, audience, toleranceSeconds, wallMs } = demands;
  const options = {
    ...{ issuer, audience, algorithms: Object.keys(ALGORITHMS), clockTolerance: toleranceSeconds },
    ...{ requiredClaims: ["exp"], currentDate: dateOf(wallMs ?? 0) },
  };
  let found: TokenFound = refused("token signature wrong");
  for (const key of wanted.slice(0, KEYS_TRIED_MAX)) {
    try {
      const times = wallMs === null ? { currentDate: dateOf((ends - 1) * 1000) } : {};
      const { payload }: JWTVerifyResult = await jose.jwtVerify(token, key, {
        ...options,
        ...times,
      });
      return { claims: payload, endsMs: (ends + toleranceSeconds) * 1000 };
    } catch (error) {
      found = refused(reasonOf(error));
      // With the right key it is clear why not.
      if (!("reason" in found) || found.reason !== "token signature wrong") break;
    }
  }
  return found;
}

function refused(reason: string): TokenFound {
  return { claims: null, reason };
}

function reasonOf(error: unknown): string {
  const { code = "", claim = "" } = error as { code?: string; claim?: string };
  if (code === "ERR_JWS_SIGNATURE_VERIFICATION_FAILED") return "token signature wrong";
  if (code === "ERR_JWT_EXPIRED") return "token has ended";
  if (code === "ERR_JWT_CLAIM_VALIDATION_FAILED") {
    return CLAIMS[claim] ?? "token with a claim that is not in order";
  }
  return "token malformed";
}

const CLAIMS: Readonly<Record<string, string>> = {
  nbf: "token not valid yet",
  aud: "token for somebody else",
  iss: "token of another issuer",
};
