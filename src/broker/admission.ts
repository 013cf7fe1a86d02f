import {
  type Access,
  NO_RIGHTS,
  type Principal,
  type ReturnCode,
  type Rights,
  type Verdict,
} from "./access.ts";
import type { ConnectClaims } from "./aedes-control.ts";
import type { Counters } from "./counters.ts";
import type { Channel } from "./ports.ts";

/** A connection as admission sees it. */
export interface Applicant {
  readonly channel: Pick<Channel, "address" | "loopback" | "identity">;
  readonly listener: string;
  readonly session: { rights: Rights } | null;
  rights: Rights;
  close(reason: string): void;
}

/** What admission asks about the sessions that there are. */
export interface SessionsThere {
  readonly count: number;
  /** Persistent ones. */
  countOf(user: string): number;
  isAnothers(clientId: string, principal: Principal): boolean;
  persistentOf(clientId: string): unknown;
  linkOf(clientId: string): unknown;
  reconsider(): void;
}

export interface AdmissionLimits {
  readonly sessionsMax: number;
  readonly connectionsPerUserMax: number;
  readonly sessionsPerUserMax: number;
}

/** Who is let in with which rights, and what becomes of those who are in when rights change. */
export class Admission {
  readonly #access: Access;
  readonly #sessions: SessionsThere;
  readonly #counters: Counters;
  readonly #limits: AdmissionLimits;
  /** The users of those who are in, and how many each has. */
  readonly #users = new Map<Applicant, string>();
  readonly #byUser = new Map<string, number>();

  constructor(
    limits: AdmissionLimits,
    tools: {
      readonly access: Access;
      readonly sessions: SessionsThere;
      readonly counters: Counters;
    },
  ) {
    this.#limits = limits;
    this.#access = tools.access;
    this.#sessions = tools.sessions;
    this.#counters = tools.counters;
  }

  /** The answer to a CONNECT. Gives the connection its rights when that is 0. */
  authenticate(applicant: Applicant, claims: ConnectClaims): ReturnCode | Promise<ReturnCode> {
    const { address, loopback, identity: certificate } = applicant.channel;
    const { listener } = applicant;
    const verdict = this.#access.authenticate({
      ...claims,
      ...{ listener, address, loopback, certificate },
    });
    const judged = (found: Verdict) => this.#judged(applicant, claims, found);
    return verdict instanceof Promise ? verdict.then(judged) : judged(verdict);
  }

  /** Is in: counts for its user until it has left. */
  entered(applicant: Applicant): void {
    const { user } = applicant.rights.principal;
    if (user === null) return;
    this.#users.set(applicant, user);
    this.#byUser.set(user, (this.#byUser.get(user) ?? 0) + 1);
  }

  left(applicant: Applicant): void {
    const user = this.#users.get(applicant);
    if (user === undefined) return;
    this.#users.delete(applicant);
    const here = (this.#byUser.get(user) ?? 1) - 1;
    if (here > 0) this.#byUser.set(user, here);
    else this.#byUser.delete(user);
  }

  mayPublishWill({ rights }: Applicant, topic: string): boolean {
    if (rights.mayPublish(topic)) return true;
    this.#counters.dropped("not allowed to publish");
    return false;
  }

  /** The same for a will that an earlier process has left. */
  mayPublishLeft(
    { topic, principal }: { readonly topic: string; readonly principal?: Principal },
    clientId: string,
  ): boolean {
    if (this.#access.rightsOf(principal ?? null, clientId).mayPublish(topic)) return true;
    this.#counters.dropped("not allowed to publish");
    return false;
  }

  maySubscribe({ rights }: Applicant, filter: string): boolean {
    if (rights.maySubscribe(filter)) return true;
    this.#counters.dropped("not allowed to subscribe");
    return false;
  }

  /** Users, roles or rules have changed: it counts at once, for those who are here and those who are not. */
  reconsider(applicants: Iterable<Applicant>): void {
    for (const applicant of applicants) {
      if (applicant.rights === NO_RIGHTS) continue;
      const renewed = this.#access.renewed(applicant.rights);
      applicant.rights = renewed ?? NO_RIGHTS;
      if (applicant.session !== null && renewed !== null) applicant.session.rights = renewed;
      if (renewed === null) applicant.close("not allowed here any more");
    }
    this.#sessions.reconsider();
  }

  #judged(applicant: Applicant, { clientId, clean }: ConnectClaims, verdict: Verdict): ReturnCode {
    const { rights } = verdict;
    if (rights === null) return this.#refuse(verdict.code, verdict.reason);
    if (this.#sessions.isAnothers(clientId, rights.principal)) {
      return this.#refuse(5, "client id of another user");
    }
    const isNew = !clean && this.#sessions.persistentOf(clientId) === null;
    if (isNew && this.#sessions.count >= this.#limits.sessionsMax) {
      return this.#refuse(3, "too many sessions");
    }
    const { user } = rights.principal;
    if (isNew && user !== null && this.#sessions.countOf(user) >= this.#limits.sessionsPerUserMax) {
      return this.#refuse(3, "too many sessions of one user");
    }
    const here = this.#byUser.get(user ?? "") ?? 0;
    const takesOver = this.#sessions.linkOf(clientId) !== null ? 1 : 0;
    if (here - takesOver >= this.#limits.connectionsPerUserMax) {
      return this.#refuse(3, "too many connections of one user");
    }
    applicant.rights = rights;
    return 0;
  }

  #refuse(code: ReturnCode, reason: string): ReturnCode {
    this.#counters.closed(reason);
    return code;
  }
}
