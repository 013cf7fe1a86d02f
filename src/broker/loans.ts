import type { QoS } from "../mqtt/message.ts";
import { PACKET, type PublishFrame } from "../mqtt/publish-frame.ts";
import type { Counters } from "./counters.ts";
import type { Inflight, MemoryIds } from "./inflight.ts";
import type { Sent } from "./sent.ts";
import type { Session } from "./session.ts";

/** A message that a shared group has lent a session. */
export interface Loan {
  readonly lender: Lender;
  readonly index: number;
}

/** A durable queue whose messages go to one of several sessions each. */
export interface Lender {
  /** The name of its queue. */
  readonly name: string;
  /** The borrower has the message, as PUBACK or PUBREC says. Resolves when, for QoS 2, that will not be forgotten. */
  taken(index: number, borrower: Session, qos: QoS): Promise<void>;
  /** The borrower is gone before that. True when the message may come to it again, under the same packet identifier. */
  giveBack(index: number, borrower: Session, packetId: number): boolean;
  /** Lends what is ready to those who have room. */
  lend(): void;
}

/** What loans need kept, so that a message of QoS 2 comes once and no packet identifier means two. */
export interface LoanWorld {
  readonly counters: Counters;
  /** Keeps that the identifier is out with that message, or, for null, that only PUBREL and PUBCOMP are to come. */
  keepLoan(session: Session, packetId: number, loan: Loan | null): Promise<void>;
  forgetLoan(session: Session, packetId: number): void;
  failed(session: Session, error: unknown): void;
}

/**
 * The messages that shared groups have lent one session, from PUBLISH to the last acknowledgement.
 *
 *                                     ┌────────── the same message again ───────────┐
 *                                     ▼                                             │
 *     borrow ─▶ sent ─ PUBACK, PUBREC ─▶ taken          sent ─ connection lost ─▶ returned
 *                                                                                   │ given to another
 *     QoS 2 only: taken ─ PUBREL, PUBCOMP ─▶ free       released, PUBCOMP ─▶ free ◀─┘
 *
 * A client that keeps its session may hold the identifier of a QoS 2 message that we never knew it had. It must not meet
 * that identifier with another message: it would take it for the old one and drop it. So the identifier stays in use
 * until PUBREL and PUBCOMP have freed it, also when the message went to another client, and rows say so over restarts.
 */
export class Loans {
  /** Lenders that the session is a member of. */
  readonly lenders = new Set<{ lend(): void }>();
  readonly #session: Session;
  readonly #inflight: Inflight<Sent>;
  readonly #ids: MemoryIds;
  readonly #world: LoanWorld;
  readonly #returned = new Set<number>();
  /** The last row on its way to the disk: what is borrowed later is not sent before what waits for it. */
  #keeping: Promise<void> | null = null;

  constructor(session: Session, inflight: Inflight<Sent>, ids: MemoryIds, world: LoanWorld) {
    this.#session = session;
    this.#inflight = inflight;
    this.#ids = ids;
    this.#world = world;
  }

  /** Packet identifiers that have a row. */
  get keptIds(): readonly number[] {
    const kept = this.#inflight.all().filter(({ index, qos }) => index === 0 && qos === 2);
    return kept.map(({ packetId }) => packetId);
  }

  isReturned(packetId: number): boolean {
    return this.#returned.has(packetId);
  }

  /**
   * Sends a message of QoS 1 or 2. Only while the client is here.
   * @param before the packet identifier that the session had for it until it was returned; 0 when it is new
   */
  borrow(loan: Loan, frame: PublishFrame, granted: QoS, before: number): void {
    const known = this.#inflight.get(before);
    const packetId = known?.packetId ?? this.#ids.next();
    const qos = known?.qos ?? granted;
    const sent = { packetId, frame, qos, retain: false, index: 0, stage: "sent", loan } as const;
    this.#inflight.delete(packetId);
    this.#inflight.add(sent);
    this.#returned.delete(packetId);
    this.#world.counters.sent++;
    const { link, persistent } = this.#session;
    const send = () => {
      const current = this.#inflight.get(packetId) === sent && !this.#returned.has(packetId);
      if (this.#session.link !== link || !current) return;
      link?.outbox.publish(frame, qos, false, known !== undefined, packetId);
    };
    if (persistent && qos === 2 && known === undefined) this.#afterKeeping(packetId, loan, send);
    else if (this.#keeping !== null) this.#keeping.then(send, () => {});
    else send();
  }

  /** PUBREC came: PUBREL follows when it is kept that the client has the message. */
  received(sent: Sent): void {
    const { loan, packetId } = sent;
    if (loan === null) return;
    if (sent.stage !== "sent") {
      this.#sendRelease(packetId);
      return;
    }
    sent.stage = "received";
    this.#returned.delete(packetId);
    const kept = [loan.lender.taken(loan.index, this.#session, 2)];
    if (this.#session.persistent) kept.push(this.#world.keepLoan(this.#session, packetId, null));
    Promise.all(kept).then(
      () => this.#release(sent),
      (error) => this.#world.failed(this.#session, error),
    );
  }

  /** PUBACK or PUBCOMP came for what is not from the durable queue: its identifier is free. */
  finished({ packetId, qos, stage, loan }: Sent): void {
    this.#returned.delete(packetId);
    if (stage === "released" && this.#session.persistent)
      this.#world.forgetLoan(this.#session, packetId);
    if (loan !== null && qos === 1) void loan.lender.taken(loan.index, this.#session, 1);
  }

  /** The connection is gone: what was not taken goes back to where it came from. */
  giveBack(): void {
    const lenders = new Set<Lender>();
    for (const sent of this.#inflight.all()) {
      const { packetId, loan, stage } = sent;
      if (loan === null || stage !== "sent" || this.#returned.has(packetId)) continue;
      sent.frame = null; // it is borrowed again with its message, or not at all
      lenders.add(loan.lender);
      this.#returned.add(packetId);
      if (!loan.lender.giveBack(loan.index, this.#session, packetId)) this.lose(packetId);
    }
    for (const lender of lenders) lender.lend();
  }

  /** A message that was returned will not come again. */
  lose(packetId: number): void {
    const sent = this.#inflight.get(packetId);
    if (sent === undefined || !this.#returned.delete(packetId)) return;
    this.#inflight.delete(packetId);
    if (sent.qos !== 2 || !this.#session.persistent) return;
    const left: Sent = { ...sent, frame: null, loan: null, stage: "received" };
    this.#inflight.add(left);
    this.#world.keepLoan(this.#session, packetId, null).then(
      () => this.#release(left),
      (error) => this.#world.failed(this.#session, error),
    );
  }

  /** Takes up what an earlier process has kept: an identifier that is out, with a message or without. */
  restore(packetId: number, loan: Loan | null): void {
    const stage = loan === null ? "released" : "sent";
    this.#inflight.add({ packetId, frame: null, qos: 2, retain: false, index: 0, stage, loan });
    if (loan !== null) this.#returned.add(packetId);
  }

  /** The session may take more. */
  roomLeft(): void {
    for (const lender of this.lenders) lender.lend();
  }

  #afterKeeping(packetId: number, loan: Loan, send: () => void): void {
    const kept = this.#world.keepLoan(this.#session, packetId, loan);
    this.#keeping = kept;
    kept.then(
      () => {
        if (this.#keeping === kept) this.#keeping = null;
        send();
      },
      (error) => {
        if (this.#keeping === kept) this.#keeping = null;
        this.#world.failed(this.#session, error);
      },
    );
  }

  #release(sent: Sent): void {
    if (this.#inflight.get(sent.packetId) !== sent) return;
    sent.stage = "released";
    this.#sendRelease(sent.packetId);
  }

  #sendRelease(packetId: number): void {
    if (this.#inflight.get(packetId)?.stage !== "released") return;
    this.#session.link?.outbox.acknowledge((PACKET.pubrel << 4) | 2, packetId);
  }
}
