import { errorFields } from "../base/errors.ts";
import type { Log } from "../base/log.ts";
import type { Rows } from "../base/rows.ts";
import type { QoS } from "../mqtt/message.ts";
import { shareOf } from "../mqtt/share.ts";
import type { Absences } from "./absences.ts";
import type { Access, Principal, Rights } from "./access.ts";
import type { Counters } from "./counters.ts";
import type { ControlPersistence } from "./level-persistence.ts";
import type { Loan } from "./loans.ts";
import type { BrokerJournal } from "./ports.ts";
import type { Router } from "./router.ts";
import { Session, type SessionLink, type SessionWorld } from "./session.ts";
import type { SessionLimits } from "./session-limits.ts";
import {
  EMPTY,
  inKey,
  numbersIn,
  principalIn,
  rowKey,
  type SessionRows,
  sessionRows,
} from "./session-rows.ts";
import { isShareQueue, type ShareGroups } from "./share-groups.ts";
import { WaitingRoom } from "./waiting-room.ts";

/** All sessions by client id, and what of them must survive: session-rows.ts. Subscriptions are kept by the control plane, queues by the journal. */
export class Sessions implements SessionWorld {
  readonly limits: SessionLimits;
  readonly counters: Counters;
  readonly room: WaitingRoom;
  /** Whose clients are away, and for how long. */
  readonly absences: Absences;
  readonly #journal: BrokerJournal;
  readonly #router: Router<Session>;
  readonly #shares: ShareGroups;
  readonly #access: Access;
  readonly #log: Log;
  readonly #rows: SessionRows;
  readonly #byClient = new Map<string, Session>();
  /** Clients whose session ends: that is not on the disk yet. */
  readonly #ending = new Set<string>();
  #persistentCount = 0;

  constructor(
    limits: SessionLimits & { readonly waitingBytesMax: number },
    tools: {
      readonly journal: BrokerJournal;
      readonly router: Router<Session>;
      readonly shares: ShareGroups;
      readonly access: Access;
      readonly absences: Absences;
      readonly counters: Counters;
      readonly log: Log;
    },
  ) {
    this.limits = limits;
    this.room = new WaitingRoom(limits.waitingBytesMax);
    this.counters = tools.counters;
    this.#journal = tools.journal;
    this.#router = tools.router;
    this.#shares = tools.shares;
    this.#access = tools.access;
    this.absences = tools.absences;
    this.#log = tools.log;
    this.#rows = sessionRows((space) => tools.journal.rows(space));
  }

  /** Sessions that exist, connected or not. */
  get count(): number {
    return this.#byClient.size;
  }

  /** Those that stay when their client goes. */
  get persistentCount(): number {
    return this.#persistentCount;
  }

  /** Persistent ones of a user. */
  countOf(user: string): number {
    let count = 0;
    for (const { persistent, rights } of this.#byClient.values()) {
      if (persistent && rights.principal.user === user) count++;
    }
    return count;
  }

  get all(): Iterable<Session> {
    return this.#byClient.values();
  }

  of(clientId: string): Session | null {
    return this.#byClient.get(clientId) ?? null;
  }

  persistentOf(clientId: string): Session | null {
    const session = this.#byClient.get(clientId);
    return session?.persistent ? session : null;
  }

  /** Whether the client had a session that is just being ended: it may come when that is on the disk. */
  isEnding(clientId: string): boolean {
    return this.#ending.has(clientId);
  }

  /** The connection of a client that is here. */
  linkOf(clientId: string): SessionLink | null {
    return this.#byClient.get(clientId)?.link ?? null;
  }

  /** Whether a client id is that of a session of someone else, whom the newcomer must not see or throw out. */
  isAnothers(clientId: string, { user }: Principal): boolean {
    const owner = this.#byClient.get(clientId)?.rights.principal.user ?? null;
    return owner !== null && owner !== user;
  }

  /** Users, roles or rules have changed: who is here is told by its connection, who is not by what was kept. */
  reconsider(): void {
    for (const session of this.#byClient.values()) {
      if (session.link === null) {
        const { clientId, principal } = session.rights;
        session.rights = this.#access.rightsOf(principal, clientId);
      }
      this.#reconsiderShares(session);
    }
    this.#router.reconsider();
  }

  /** Takes up the sessions that an earlier process has left. */
  async restore(persistence: ControlPersistence): Promise<void> {
    await this.#shares.load();
    const known = new Map<string, Principal | null>();
    for await (const [clientId, row] of this.#rows.session.entries({})) {
      known.set(clientId, principalIn(row));
    }
    await this.absences.load(known);
    const received = await numbersIn(this.#rows.received);
    const released = await numbersIn(this.#rows.released);
    for (const [clientId, principal] of known) {
      const rights = this.#access.rightsOf(principal, clientId);
      const queue = this.#journal.queue(clientId);
      const session = new Session(clientId, queue, new Set(released.get(clientId)), rights, this);
      for (const packetId of received.get(clientId) ?? []) session.received.restore(packetId);
      this.#add(session);
    }
    const leftovers: string[] = [];
    for await (const { clientId, subscriptions } of persistence.storedSubscriptions()) {
      const session = this.#byClient.get(clientId);
      if (session === undefined) leftovers.push(clientId);
      else for (const { topic, qos } of subscriptions) this.subscribe(session, topic, qos);
    }
    // Their session has ended, and a crash came between.
    for (const clientId of leftovers) void this.#forgetSubscriptions(clientId, persistence);
    for (const name of this.#journal.queueNames()) {
      if (!known.has(name) && !isShareQueue(name)) this.#journal.queue(name).drop();
    }
    this.#shares.restore();
    await this.#restoreLoans();
  }

  /** The session of a client that has just connected, and whether it was there [MQTT-3.1.2-4, MQTT-3.1.2-6]. */
  open(
    rights: Rights,
    clean: boolean,
    nowMs: number,
  ): { readonly session: Session; readonly present: boolean } {
    const { clientId, principal } = rights;
    const old = this.#byClient.get(clientId);
    if (old?.persistent && !clean && !this.isAnothers(clientId, principal)) {
      this.#resume(old, rights, nowMs);
      return { session: old, present: true };
    }
    if (old !== undefined) {
      this.counters.dropped("session-ended", old.queued.messages);
      void this.#discard(old);
    }
    const queue = clean ? null : this.#journal.queue(clientId);
    const session = new Session(clientId, queue, new Set(), rights, this);
    this.#add(session);
    if (!clean) this.#keep(session, nowMs);
    return { session, present: false };
  }

  /** What it had subscribed to counts as far as the client may receive it now. */
  #resume(session: Session, rights: Rights, nowMs: number): void {
    this.absences.saw(session.clientId, true);
    const before = JSON.stringify(session.rights.principal);
    session.rights = rights;
    if (before === JSON.stringify(rights.principal)) return;
    this.#keep(session, nowMs);
    this.#reconsiderShares(session);
    this.#router.reconsider();
  }

  #keep(session: Session, createdMs: number): void {
    const row = Buffer.from(JSON.stringify({ createdMs, principal: session.rights.principal }));
    this.#rows.session.put(session.clientId, row).catch((error) => this.failed(session, error));
  }

  #reconsiderShares(session: Session): void {
    for (const { filter, qos } of session.subscriptions.values()) {
      const share = shareOf(filter);
      if (share === null) continue;
      if (session.rights.maySubscribe(filter)) this.#shares.join(session, share, qos);
      else this.#shares.leave(session, share);
    }
  }

  /** To be called about once a second. */
  watch(): void {
    for (const session of this.#byClient.values()) {
      session.settle();
      if (session.persistent) this.absences.saw(session.clientId, session.link !== null);
    }
    this.absences.keep();
  }

  /** The connection is gone: so is a clean session. */
  left(session: Session, link: SessionLink): void {
    if (session.link !== null && session.link !== link) return;
    const isKnown = this.#byClient.get(session.clientId) === session;
    if (isKnown && !session.persistent) {
      void this.#discard(session);
      return;
    }
    session.loans.giveBack();
    if (isKnown) this.absences.saw(session.clientId, false);
  }

  /** Forgets a session that has moved to another gateway. Tells whether it was here. */
  giveUp(clientId: string, reason: string): boolean {
    const session = this.persistentOf(clientId);
    if (session === null) return false;
    session.link?.close(reason);
    void this.#discard(session);
    return true;
  }

  /** Ends it for good, its subscriptions included. Resolves when that is on the disk; until then its client is not let in. */
  async end(session: Session, persistence: ControlPersistence): Promise<void> {
    const forgotten = this.#forgetSubscriptions(session.clientId, persistence);
    await Promise.all([this.#discard(session), forgotten]);
  }

  /** Takes up a session that another gateway had: its queue is here, and durable. */
  adopt(clientId: string, { row, received, released }: AdoptedState): Session {
    const rights = this.#access.rightsOf(principalIn(row), clientId);
    const queue = this.#journal.queue(clientId);
    const session = new Session(clientId, queue, new Set(released), rights, this);
    this.#add(session);
    const kept = [
      this.#rows.session.put(clientId, row),
      ...released.map((index) => this.#rows.released.put(rowKey(clientId, index), EMPTY)),
      ...received.map((packetId) => this.#rows.received.put(rowKey(clientId, packetId), EMPTY)),
    ];
    for (const packetId of received) session.received.restore(packetId);
    Promise.all(kept).catch((error) => this.failed(session, error));
    return session;
  }

  /** Whether the session may have one more subscription, and the group one more member. */
  hasRoomFor(session: Session, filter: string): boolean {
    if (session.subscriptions.has(filter)) return true;
    const { subscriptionsMax, sharedPerSessionMax } = this.limits;
    if (session.subscriptions.size >= subscriptionsMax) return false;
    const share = shareOf(filter);
    if (share === null) return true;
    return this.#shares.hasRoomFor(share) && session.loans.lenders.size < sharedPerSessionMax;
  }

  subscribe(session: Session, filter: string, qos: QoS): void {
    const subscription = { filter, qos };
    const before = session.subscriptions.get(filter);
    if (before !== undefined && before.qos > qos) session.lapse(before);
    session.subscriptions.set(filter, subscription);
    const share = shareOf(filter);
    if (share === null) this.#router.subscribe(session, subscription);
    else if (session.rights.maySubscribe(filter)) this.#shares.join(session, share, qos);
  }

  unsubscribe(session: Session, filter: string): void {
    const ended = session.subscriptions.get(filter);
    if (ended === undefined) return;
    session.lapse(ended);
    session.subscriptions.delete(filter);
    this.#ended(session, filter);
  }

  // ——— what a session asks for

  granted(session: Session, topic: string): QoS | null {
    return this.#router.queuedAt(session, topic);
  }

  keepReleased(session: Session, index: number): Promise<void> {
    return this.#rows.released.put(rowKey(session.clientId, index), EMPTY);
  }

  forgetReleased(session: Session, index: number): void {
    const forgotten = this.#rows.released.del(rowKey(session.clientId, index));
    forgotten.catch((error) => this.failed(session, error));
  }

  keepLoan(session: Session, packetId: number, loan: Loan | null): Promise<void> {
    const value = loan === null ? EMPTY : Buffer.from(`${loan.index}\0${loan.lender.name}`);
    return this.#rows.lent.put(rowKey(session.clientId, packetId), value);
  }

  forgetLoan(session: Session, packetId: number): void {
    const forgotten = this.#rows.lent.del(rowKey(session.clientId, packetId));
    forgotten.catch((error) => this.failed(session, error));
  }

  failed(session: Session, error: unknown): void {
    this.#log.error("session failed", { clientId: session.clientId, ...errorFields(error) });
    session.link?.close("store failed");
  }

  // ——— what a connection asks for

  keepReceived(session: Session, packetId: number): void {
    const kept = this.#rows.received.put(rowKey(session.clientId, packetId), EMPTY);
    kept.catch((error) => this.failed(session, error));
  }

  forgetReceived(session: Session, packetId: number): Promise<void> {
    return this.#rows.received.del(rowKey(session.clientId, packetId));
  }

  /** A message that the client may have by now comes to it again, or is given to another and its identifier freed. */
  async #restoreLoans(): Promise<void> {
    for await (const [key, value] of this.#rows.lent.entries({})) {
      const { clientId, number: packetId } = inKey(key);
      const session = this.#byClient.get(clientId);
      if (session === undefined) continue;
      const said = Buffer.from(value).toString();
      const end = said.indexOf("\0");
      const index = Number(said.slice(0, end));
      const lender = end === -1 ? null : this.#shares.lenderOf(said.slice(end + 1));
      const waits = lender?.restoreHolder(index, session, packetId) ?? false;
      session.loans.restore(packetId, lender !== null && waits ? { lender, index } : null);
    }
  }

  #ended(session: Session, filter: string): void {
    const share = shareOf(filter);
    if (share === null) this.#router.unsubscribe(session, filter);
    else this.#shares.leave(session, share);
  }

  #add(session: Session): void {
    this.#byClient.set(session.clientId, session);
    if (session.persistent) this.#persistentCount++;
  }

  /** aedes would give them to a client that begins anew. */
  async #forgetSubscriptions(id: string, persistence: ControlPersistence): Promise<void> {
    this.#ending.add(id);
    try {
      await persistence.cleanSubscriptions({ id });
    } catch (error) {
      this.#log.error("row not written", { clientId: id, ...errorFields(error) });
    } finally {
      this.#ending.delete(id);
    }
  }

  /** Resolves when it is on the disk; never rejects. */
  async #discard(session: Session): Promise<void> {
    this.#byClient.delete(session.clientId);
    if (session.persistent) this.#persistentCount--;
    this.absences.forget(session.clientId);
    session.end();
    for (const filter of session.subscriptions.keys()) this.#ended(session, filter);
    session.subscriptions.clear();
    session.loans.giveBack();
    if (session.queue === null) return;
    session.queue.drop();
    const { clientId, received, released, loans } = session;
    // By name and in this turn, so that nothing goes that a next session of the client keeps meanwhile.
    const forget = (rows: Rows, numbers: Iterable<number>) =>
      [...numbers].map((number) => rows.del(rowKey(clientId, number)));
    await Promise.all([
      this.#rows.session.del(clientId),
      ...forget(this.#rows.received, received.ids),
      ...forget(this.#rows.released, released),
      ...forget(this.#rows.lent, loans.keptIds),
    ]).catch((error) => this.failed(session, error));
  }
}

/** What is kept of a session beside its queue and its subscriptions. */
export interface AdoptedState {
  readonly row: Uint8Array;
  readonly received: readonly number[];
  readonly released: readonly number[];
}
