import type { Log } from "../base/log.ts";
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
  readonly isClosed: boolean;
  rights: Rights;
  close(reason: string): void;
}

/** What admission asks about the sessions that there are. */
export interface SessionsThere {
  /** Persistent ones. */
  readonly persistentCount: number;
  /** Persistent ones. */
  countOf(user: string): number;
  /** Whether one of that client is just being ended. */
  isEnding(clientId: string): boolean;
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
  readonly #log: Log;
  readonly #limits: AdmissionLimits;
  /** The users of those who are let in, and how many each has. */
  readonly #users = new Map<Applicant, string>();
  readonly #byUser = new Map<string, number>();
  /** Let in, and not there yet: a will may have to be kept before. They count, or a burst would pass every bound. */
  readonly #coming = new Map<Applicant, Coming>();

  constructor(
    limits: AdmissionLimits,
    tools: {
      readonly access: Access;
      readonly sessions: SessionsThere;
      readonly counters: Counters;
      readonly log: Log;
    },
  ) {
    this.#limits = limits;
    this.#access = tools.access;
    this.#sessions = tools.sessions;
    this.#counters = tools.counters;
    this.#log = tools.log;
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

  /** Whether a client of that id, and of such a user, is let in, and not there yet. */
  isComing(clientId: string, isMeant: (user: string | null) => boolean = () => true): boolean {
    for (const coming of this.#coming.values()) {
      if (coming.clientId === clientId && isMeant(coming.user)) return true;
    }
    return false;
  }

  /** Is there, with a session. */
  entered(applicant: Applicant): void {
    this.#coming.delete(applicant);
  }

  left(applicant: Applicant): void {
    this.#coming.delete(applicant);
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
    if (applicant.isClosed) return 3; // while its credentials were being checked
    const { user } = rights.principal;
    // Nobody is thrown out by who was let in before.
    const isAnother = (other: string | null) => other !== null && other !== user;
    if (
      this.#sessions.isAnothers(clientId, rights.principal) ||
      this.isComing(clientId, isAnother)
    ) {
      return this.#refuse(5, "client id of another user");
    }
    const isNew = !clean && this.#sessions.persistentOf(clientId) === null;
    const full = isNew ? this.#hasNoRoom(user) : null;
    if (full !== null) return this.#refuseFull(clientId, full);
    if (this.#sessions.isEnding(clientId)) return this.#refuse(3, "its old session is being ended");
    const here = this.#byUser.get(user ?? "") ?? 0;
    const takesOver = this.#sessions.linkOf(clientId) !== null ? 1 : 0;
    if (here - takesOver >= this.#limits.connectionsPerUserMax) {
      return this.#refuse(3, "too many connections of one user");
    }
    applicant.rights = rights;
    this.#coming.set(applicant, { clientId, user, isNew });
    if (user !== null) {
      this.#users.set(applicant, user);
      this.#byUser.set(user, here + 1);
    }
    return 0;
  }

  /** Why there is no room for one more persistent session of that user; null when there is. */
  #hasNoRoom(user: string | null): string | null {
    const { sessionsMax, sessionsPerUserMax } = this.#limits;
    const coming = [...this.#coming.values()].filter(({ isNew }) => isNew);
    if (this.#sessions.persistentCount + coming.length >= sessionsMax) return "too many sessions";
    if (user === null) return null;
    const own = coming.filter((each) => each.user === user).length;
    const isFull = this.#sessions.countOf(user) + own >= sessionsPerUserMax;
    return isFull ? "too many sessions of one user" : null;
  }

  #refuseFull(clientId: string, reason: string): ReturnCode {
    const { sessionsMax, sessionsPerUserMax } = this.#limits;
    const todo =
      "fieldgate clients tells who is away, fieldgate clients forget ID ends its session; mqtt.sessionExpiryHours ends those of clients that stay away";
    const fields = { reason, clientId, sessionsMax, sessionsPerUserMax, todo };
    this.#log.warn("a client is refused: no room for its session", fields);
    return this.#refuse(3, reason);
  }

  #refuse(code: ReturnCode, reason: string): ReturnCode {
    this.#counters.closed(reason);
    return code;
  }
}

interface Coming {
  readonly clientId: string;
  readonly user: string | null;
  /** It will have a persistent session that is not there yet. */
  readonly isNew: boolean;
}
