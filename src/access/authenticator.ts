import type { Clock } from "../base/clock.ts";
import type { Log } from "../base/log.ts";
import { networkOf } from "../base/network.ts";
import { type AttemptLimits, Attempts } from "./attempts.ts";
import { certificateUser } from "./certificates.ts";
import type { KeyBook } from "./key-book.ts";
import { type ConnectAttempt, type Found, type Refused, refused } from "./methods.ts";
import {
  PasswordCheck,
  type PasswordJudge,
  type PasswordLimits,
  type PasswordStatus,
  type PasswordVerdict,
} from "./password-check.ts";
import { looksLikeToken, TokenCheck, type TokenOptions } from "./token-check.ts";
import type { UserBook } from "./user-book.ts";

type MethodName = "certificate" | "token" | "password";

export interface AuthenticationOptions {
  readonly listeners: readonly {
    readonly name: string;
    readonly anonymous: boolean;
    /** Without it all that are configured. */
    readonly methods?: readonly MethodName[];
  }[];
  readonly tokens?: TokenOptions;
  readonly tokenBytesMax: number;
  readonly certificates: { readonly userFrom: "common-name" | "alt-name" };
  readonly clientIds: "any" | "own";
  readonly attempts: AttemptLimits &
    PasswordLimits & {
      /** An attempt that would have to wait longer is refused at once. */
      readonly waitMsMax: number;
    };
}

const ALL: readonly MethodName[] = ["certificate", "token", "password"];

/**
 * Finds out who a client is. The methods of its listener are tried in order: the first one that the client offers something
 * for decides, so that a wrong password is not made good by something else.
 */
export class Authenticator {
  readonly #options: AuthenticationOptions;
  readonly #clock: Clock;
  readonly #users: UserBook | null;
  readonly #tokens: TokenCheck | null;
  readonly #passwords: PasswordCheck;
  readonly #attempts: Attempts;
  /** Of those who wait for their turn. */
  readonly #waiting = new Set<AbortController>();

  constructor(
    options: AuthenticationOptions,
    tools: {
      readonly clock: Clock;
      readonly log: Log;
      readonly wallIsSure: () => boolean;
      readonly users: UserBook | null;
      readonly keys: KeyBook | null;
      readonly passwords: PasswordJudge;
    },
  ) {
    const { tokens, attempts } = options;
    const { keys } = tools;
    this.#options = options;
    this.#clock = tools.clock;
    this.#users = tools.users;
    this.#tokens = tokens && keys ? new TokenCheck(tokens, { ...tools, keys }) : null;
    this.#passwords = new PasswordCheck(attempts, tools.passwords, tools);
    this.#attempts = new Attempts(attempts);
  }

  get slowedAddresses(): number {
    return this.#attempts.size;
  }

  get passwords(): PasswordStatus {
    return this.#passwords.status;
  }

  /** Those who wait for their turn are refused. */
  async stop(): Promise<void> {
    for (const each of this.#waiting) each.abort();
    await this.#passwords.stop();
  }

  /** Never rejects. */
  authenticate(attempt: ConnectAttempt): Found | Promise<Found> {
    const { listeners } = this.#options;
    const listener = listeners.find(({ name }) => name === attempt.listener);
    for (const method of listener?.methods ?? ALL) {
      if (!this.#isOffered(method, attempt)) continue;
      if (method === "certificate") return this.#own(attempt, this.#certified(attempt));
      return this.#slowly(attempt, method);
    }
    const nobody = { user: null, roles: [], claims: {} };
    if (attempt.loopback) return { principal: { ...nobody, method: "local" } };
    if (listener?.anonymous) return { principal: { ...nobody, method: "anonymous" } };
    return refused("no credentials", 5);
  }

  #isOffered(method: MethodName, { certificate, username, password }: ConnectAttempt): boolean {
    if (method === "certificate") return certificate !== null;
    if (method === "token") {
      return this.#tokens !== null && password !== undefined && looksLikeToken(password);
    }
    return this.#users !== null && (username !== undefined || password !== undefined);
  }

  #certified({ certificate }: ConnectAttempt): Found {
    const { userFrom } = this.#options.certificates;
    const user = certificate && certificateUser(certificate, userFrom);
    if (user === null) return refused("certificate names nobody", 5);
    return { principal: { user, method: "certificate", roles: [], claims: {} } };
  }

  /** Behind earlier attempts of the same address that failed; and a failure counts for those to come. */
  async #slowly(attempt: ConnectAttempt, method: "token" | "password"): Promise<Found> {
    const { address } = attempt;
    let hasWaited = false;
    let found: Found | null = null;
    while (found === null) {
      const waitMs = hasWaited ? 0 : this.#attempts.waitMs(address, this.#clock.monotonicMs());
      if (waitMs > this.#options.attempts.waitMsMax) return refused("too many failed attempts", 3);
      if (waitMs > 0) {
        this.#attempts.reserve(address, this.#clock.monotonicMs());
        if (!(await this.#waited(waitMs))) return refused("stopping", 3);
        hasWaited = true;
      }
      found = await (method === "token"
        ? this.#byToken(attempt)
        : this.#byPassword(attempt, hasWaited));
    }
    const own = this.#own(attempt, found);
    if (own.principal === null && own.code === 4) {
      this.#attempts.failed(address, this.#clock.monotonicMs());
    }
    return own;
  }

  /** False when it was stopped meanwhile. */
  async #waited(ms: number): Promise<boolean> {
    const turn = new AbortController();
    this.#waiting.add(turn);
    await this.#clock.sleep(ms, turn.signal).catch(() => {});
    this.#waiting.delete(turn);
    return !turn.signal.aborted;
  }

  async #byToken({ password = Buffer.alloc(0) }: ConnectAttempt): Promise<Found> {
    if (this.#tokens === null) return refused("no credentials", 5);
    if (password.length > this.#options.tokenBytesMax) return refused("token too long");
    return this.#tokens.check(password.toString("latin1"));
  }

  /** Null when others of its address have guessed wrong while it waited for its turn: it has to wait like those to come. */
  async #byPassword(attempt: ConnectAttempt, hasWaited: boolean): Promise<Found | null> {
    const { username = "", password, address } = attempt;
    if (password === undefined || password.length === 0) return refused("no password");
    const user = this.#users?.get(username);
    const verdict = await this.#passwords.verdict(user, password, {
      name: username,
      network: networkOf(address),
      suspect: this.#attempts.hasFailed(address),
      mayGo: () => hasWaited || this.#attempts.waitMs(address, this.#clock.monotonicMs()) === 0,
    });
    if (verdict === "late") return null;
    if (verdict !== "right" || user === undefined) return NOT_RIGHT[verdict];
    const principal = { user: user.name, method: "password", roles: user.roles, claims: {} };
    return { principal, stamp: user.secret };
  }

  /** Whether the client id is one that the user may have. */
  #own({ clientId }: ConnectAttempt, found: Found): Found {
    if (found.principal === null || this.#options.clientIds === "any") return found;
    const { user } = found.principal;
    if (clientId === user || clientId.startsWith(`${user}-`)) return found;
    return refused("client id not the user's own", 5) satisfies Refused;
  }
}

const WRONG = refused("wrong user or password");
const NOT_RIGHT: Readonly<Record<Exclude<PasswordVerdict, "late">, Refused>> = {
  ...{ right: WRONG, wrong: WRONG },
  full: refused("too many passwords to check", 3),
  failed: refused("passwords cannot be checked", 3),
};
