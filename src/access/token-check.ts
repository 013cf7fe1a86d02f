import type { Clock } from "../base/clock.ts";
import { KEY_NOT_KNOWN, verifyToken } from "./jose-tokens.ts";
import type { KeyBook } from "./key-book.ts";
import { isUserName, type Principal } from "./principal.ts";

export interface TokenOptions {
  readonly issuer: string;
  readonly audience: string;
  readonly userClaim: string;
  readonly rolesClaim: string;
  readonly toleranceSeconds: number;
  readonly whenClockIsUnsure: "accept" | "refuse";
}

export interface TokenTools {
  readonly clock: Clock;
  /** Whether this machine's clock was set since it started. */
  readonly wallIsSure: () => boolean;
  readonly keys: KeyBook;
}

export type TokenVerdict =
  | { readonly principal: Principal; readonly endsMs: number }
  | { readonly principal: null; readonly code: 3 | 4; readonly reason: string };

/** Text of a claim that a rule can use, and roles of one token. */
const CLAIM_LENGTH_MAX = 256;
const CLAIMS_MAX = 32;
const ROLES_MAX = 64;

/** Whom a token is for, and until when. */
export class TokenCheck {
  readonly #options: TokenOptions;
  readonly #tools: TokenTools;

  constructor(options: TokenOptions, tools: TokenTools) {
    this.#options = options;
    this.#tools = tools;
  }

  /** Never rejects. */
  async check(token: string): Promise<TokenVerdict> {
    const { clock, wallIsSure, keys } = this.#tools;
    const { whenClockIsUnsure } = this.#options;
    const isSure = wallIsSure();
    if (!isSure && whenClockIsUnsure === "refuse") return refused("clock is not set", 3);
    const demands = { ...this.#options, wallMs: isSure ? clock.wallMs() : null };
    let found = await verifyToken(token, keys.keys, demands);
    if (found.claims === null && found.reason === KEY_NOT_KNOWN && (await keys.freshen())) {
      found = await verifyToken(token, keys.keys, demands);
    }
    if (found.claims === null) return refused(found.reason);
    const principal = this.#principalOf(found.claims);
    if (principal === null) return refused("token names no user");
    return { principal, endsMs: found.endsMs };
  }

  #principalOf(claims: Readonly<Record<string, unknown>>): Principal | null {
    const { userClaim, rolesClaim } = this.#options;
    const user = Object.hasOwn(claims, userClaim) ? claims[userClaim] : undefined;
    if (typeof user !== "string" || !isUserName(user)) return null;
    const listed = Object.hasOwn(claims, rolesClaim) ? claims[rolesClaim] : [];
    const roles = typeof listed === "string" ? listed.split(/[ ,]+/) : listed;
    return {
      user,
      method: "token",
      roles: Array.isArray(roles)
        ? roles.filter((role) => typeof role === "string").slice(0, ROLES_MAX)
        : [],
      claims: textClaims(claims),
    };
  }
}

/** Those claims that are short text or numbers: others could not stand in a level of a topic. */
function textClaims(claims: Readonly<Record<string, unknown>>): Record<string, string> {
  const found = Object.entries(claims).flatMap(([name, value]) => {
    const text = typeof value === "number" ? String(value) : value;
    const isText = typeof text === "string" && text.length <= CLAIM_LENGTH_MAX;
    return isText && name.length <= CLAIM_LENGTH_MAX && !TIMES.has(name)
      ? [[name, text] as const]
      : [];
  });
  return Object.fromEntries(found.slice(0, CLAIMS_MAX));
}

const TIMES: ReadonlySet<string> = new Set(["exp", "nbf", "iat", "jti"]);

function refused(reason: string, code: 3 | 4 = 4): TokenVerdict {
  return { principal: null, code, reason };
}

/** Whether a password looks like a signed token: three parts in base64, the first of which begins as JSON does. */
export function looksLikeToken(password: Buffer): boolean {
  return TOKEN.test(password.toString("latin1"));
}

/** `ey` is how an object in JSON begins in base64. A part may be empty: a token without a signature is a token. */
const TOKEN = /^ey[\w-]+\.[\w-]*\.[\w-]*$/;
