import type { Clock } from "../base/clock.ts";
import type { Log } from "../base/log.ts";
import type { Service } from "../base/service.ts";
import { type AuthenticationOptions, Authenticator } from "./authenticator.ts";
import { type CertificateRoles, certificateRoles } from "./certificates.ts";
import { ClientRights } from "./client-rights.ts";
import type { KeyBook, KeysStatus } from "./key-book.ts";
import type { ConnectAttempt } from "./methods.ts";
import type { PasswordJudge, PasswordStatus } from "./password-check.ts";
import type { Principal } from "./principal.ts";
import { type Decision, EVERYTHING, type RoleOptions, Rules, type Subject } from "./rules.ts";
import type { UserBook, UsersStatus } from "./user-book.ts";

export interface AccessOptions extends AuthenticationOptions {
  readonly roles: readonly RoleOptions[];
  readonly loopbackRoles: readonly string[];
  readonly anonymousRoles: readonly string[];
  readonly downlinkRoles: readonly string[];
  readonly certificates: AuthenticationOptions["certificates"] & {
    readonly roles: readonly CertificateRoles[];
  };
  readonly whenDenied: "drop" | "disconnect";
  readonly usersCheckSeconds: number;
  readonly tokens?: { readonly keysRefreshSeconds: number } & AuthenticationOptions["tokens"];
}

export interface AccessTools {
  readonly clock: Clock;
  readonly log: Log;
  readonly wallIsSure: () => boolean;
  /** Null without `usersFile`. */
  readonly users: ((changed: () => void) => UserBook) | null;
  /** Null without `tokens`. */
  readonly keys: KeyBook | null;
  readonly passwords: PasswordJudge;
}

/** What access control looks like now. Attempts that were refused are counted with the connections closed. */
export interface AccessStatus {
  readonly roles: number;
  readonly users: UsersStatus | null;
  readonly tokenKeys: KeysStatus | null;
  /** Addresses whose next attempt may have to wait. */
  readonly slowedAddresses: number;
  readonly passwords: PasswordStatus;
}

/** What became of one question, and why. */
export interface Explained {
  readonly principal: Principal;
  readonly publish: Decision;
  readonly subscribe: Decision;
}

export type AccessVerdict =
  | { readonly rights: ClientRights }
  | { readonly rights: null; readonly code: 2 | 3 | 4 | 5; readonly reason: string };

/** Who may do what: authentication by several methods, and rules by role. */
export class Access implements Service {
  readonly name = "access";
  readonly whenDenied: "drop" | "disconnect";
  readonly #options: AccessOptions;
  readonly #tools: AccessTools;
  readonly #users: UserBook | null;
  readonly #authenticator: Authenticator;
  readonly #listeners = new Set<() => void>();
  #rules: Rules;
  #downlink: ClientRights;

  constructor(options: AccessOptions, tools: AccessTools) {
    this.whenDenied = options.whenDenied;
    this.#options = options;
    this.#tools = tools;
    this.#rules = new Rules(options.roles);
    this.#downlink = this.#downlinkRights();
    this.#users = tools.users?.(() => this.#changed()) ?? null;
    this.#authenticator = new Authenticator(options, { ...tools, users: this.#users });
  }

  async start(): Promise<void> {
    const { usersCheckSeconds, tokens } = this.#options;
    await this.#users?.start(usersCheckSeconds * 1000);
    await this.#tools.keys?.start((tokens?.keysRefreshSeconds ?? 0) * 1000);
  }

  async stop(): Promise<void> {
    await this.#authenticator.stop();
    await this.#users?.stop();
    await this.#tools.keys?.stop();
  }

  /** What the cloud may publish here. */
  get downlink(): ClientRights {
    return this.#downlink;
  }

  /** Finds out who a client is, and whether it may leave the will it has. Never rejects. */
  authenticate(attempt: ConnectAttempt): AccessVerdict | Promise<AccessVerdict> {
    const found = this.#authenticator.authenticate(attempt);
    const judged = (each: Awaited<typeof found>): AccessVerdict => {
      if (each.principal === null) return { rights: null, code: each.code, reason: each.reason };
      const { clientId, willTopic } = attempt;
      const rights = this.#rightsFor({ ...each, clientId });
      if (willTopic === null || rights.mayPublish(willTopic)) return { rights };
      return { rights: null, code: 5, reason: "not allowed to leave that will" };
    };
    return found instanceof Promise ? found.then(judged) : judged(found);
  }

  /** The rights that someone has now whose session an earlier process has left. */
  rightsOf(principal: Principal | null, clientId: string): ClientRights {
    return this.#rightsFor({ principal: principal ?? LOCAL, clientId });
  }

  /** The rights as they are now, after a change; null when the client may not be here any more. */
  renewed(rights: Subject): ClientRights | null {
    const { clientId, principal } = rights;
    const { stamp = "", endsMs = null } = rights instanceof ClientRights ? rights : {};
    if (principal.method === "password") {
      const user = this.#users?.get(principal.user ?? "");
      if (user === undefined || user.secret !== stamp) return null;
    }
    return this.#rightsFor({ clientId, principal, endsMs, stamp });
  }

  /** Whether what let the client in has ended. Not believed of a clock that was never set. */
  hasEnded(rights: Subject): boolean {
    if (!(rights instanceof ClientRights) || rights.endsMs === null) return false;
    return this.#tools.wallIsSure() && this.#tools.clock.wallMs() >= rights.endsMs;
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** Other rules from now on: for those who are here, too, and nothing that was decided before is remembered. */
  replaceRoles(roles: readonly RoleOptions[]): void {
    this.#rules = new Rules(roles);
    this.#changed();
  }

  /** Who someone would be, for whom there is no session: the user of that name, or somebody on loopback. */
  principalNamed(name: string): Principal {
    const user = this.#users?.get(name);
    return user === undefined
      ? LOCAL
      : { user: name, method: "password", roles: user.roles, claims: {} };
  }

  explain(principal: Principal, clientId: string, topic: string): Explained {
    const subject = this.#rightsFor({ principal, clientId });
    return {
      principal: subject.principal,
      publish: this.#rules.decide(subject, "publish", topic),
      subscribe: topic.match(/[+#]|^\$share\//)
        ? this.#rules.decideFilter(subject, topic)
        : this.#rules.decide(subject, "subscribe", topic),
    };
  }

  status(): AccessStatus {
    return {
      roles: this.#options.roles.length,
      users: this.#users?.status() ?? null,
      tokenKeys: this.#tools.keys?.status() ?? null,
      slowedAddresses: this.#authenticator.slowedAddresses,
      passwords: this.#authenticator.passwords,
    };
  }

  /** With the roles that count now: those of the users file may have changed, others are not configured any more. */
  #rightsFor(who: Subject & { readonly endsMs?: number | null; readonly stamp?: string }) {
    const roles = this.#rolesOf(who.principal).filter((role) => this.#rules.has(role));
    const principal = { ...who.principal, roles: [...new Set(roles)] };
    return new ClientRights({ ...who, principal }, this.#rules);
  }

  #rolesOf({ method, user, roles }: Principal): readonly string[] {
    const { loopbackRoles, anonymousRoles, certificates } = this.#options;
    const ofFile = this.#users?.get(user ?? "")?.roles ?? [];
    if (method === "token") return roles;
    if (method === "password") return ofFile;
    if (method === "local") return loopbackRoles;
    if (method === "anonymous") return anonymousRoles;
    return [...certificateRoles(user ?? "", certificates.roles), ...ofFile];
  }

  #downlinkRights(): ClientRights {
    const roles = this.#options.downlinkRoles;
    const principal = { user: null, method: "downlink", roles, claims: {} };
    return new ClientRights({ clientId: "", principal }, this.#rules);
  }

  #changed(): void {
    this.#downlink = this.#downlinkRights();
    for (const listener of this.#listeners) listener();
  }
}

/** Somebody on loopback, who does not say who. */
const LOCAL: Principal = { user: null, method: "local", roles: [EVERYTHING], claims: {} };
