import type { Clock } from "../base/clock.ts";
import { totalOf } from "../base/counts.ts";
import { errorFields } from "../base/errors.ts";
import type { Log } from "../base/log.ts";
import { ageMs } from "../base/timepiece.ts";
import type { BudgetKeeper } from "./budget-keeper.ts";
import type { CloudConnection, CloudTerms, Destination, DropReason } from "./cloud.ts";
import type { DeadLetters } from "./dead-letters.ts";
import type { Gaps } from "./gaps.ts";
import type { Ledger } from "./ledger.ts";
import type { UplinkLimits } from "./limits.ts";
import { isOwnTopic } from "./own-topics.ts";
import type { Moment, Pacer } from "./pacer.ts";
import type { Permit } from "./permit.ts";
import { cursorName, LANES, type LaneName, type Router } from "./rules.ts";
import { Shipper } from "./shipper.ts";
import type { Source, SourceEntry } from "./source.ts";
import { Turn } from "./turn.ts";
import type { Loss } from "./window.ts";

export interface CarrierOptions {
  readonly windowMax: number;
  readonly acknowledgeTimeoutMs: number;
  readonly limits: UplinkLimits;
}

export interface CarrierTools {
  readonly clock: Clock;
  readonly log: Log;
  readonly journal: Source;
  readonly route: Router;
  /** Where goes what the uplink itself tells the cloud. */
  readonly ownRoute: (topic: string) => Destination & { readonly fault: string | null };
  /** Null when what the cloud refuses is not kept. */
  readonly letters: DeadLetters | null;
  /** Of the lanes, in their order; none when losses are not told. */
  readonly gaps: readonly Gaps[];
  /** Null when nothing limits what is sent. */
  readonly pacer: Pacer | null;
  readonly budget: BudgetKeeper | null;
  readonly ledger: Ledger;
  /** Whether an operator holds the lane of that index. */
  readonly isPaused: (lane: number) => boolean;
  /** Null where sending is always allowed. */
  readonly permit: Permit | null;
  /** Messages are in flight and the cloud has been silent for too long. */
  readonly stalled: () => void;
}

interface Carriage {
  readonly connection: CloudConnection;
  /** One budget for all lanes: with one each, those that lag would share the line equally, whatever their priority. */
  readonly inflightMax: number;
  readonly ended: AbortController;
}

/**
 * Carries what the lanes have over the connection that is open, if one is.
 *
 * Acknowledgements, commits and reads only wake it; the work is done once a turn of the event loop for all of them: the
 * cursors move, the window is filled, the lanes read ahead. With nothing to do it does nothing: no timer runs but the
 * deadline of what is in flight.
 */
export class Carrier {
  readonly shippers: readonly Shipper[];
  readonly #options: CarrierOptions;
  readonly #tools: CarrierTools;
  readonly #turn: Turn;
  readonly #reads = new Set<Promise<void>>();
  readonly #life = new AbortController();
  #carriage: Carriage | null = null;
  #woken = false;
  #watched = false;
  #draining: (() => void) | null = null;
  /** Whom to tell that a shipper has let go of its lane. */
  readonly #letGo = new Map<Shipper, () => void>();
  /** Ends the timer of the lanes that wait for their limits; due at `#pauseEndsMs`. */
  #pause = new AbortController();
  #pauseEndsMs = Number.POSITIVE_INFINITY;

  constructor(options: CarrierOptions, tools: CarrierTools) {
    this.#options = options;
    this.#tools = tools;
    this.#turn = new Turn(options.limits.shares);
    this.shippers = (Object.keys(LANES) as LaneName[]).map((name) => {
      const cursor = tools.journal.cursor(cursorName(name));
      return new Shipper(LANES[name], cursor, options.windowMax, options.limits.readMessagesMax);
    });
  }

  /** A connection is open: everything after the cursors goes over it, from now on. What was drained before is over. */
  begin(connection: CloudConnection, terms: CloudTerms): void {
    this.#draining = null;
    const inflightMax = Math.min(terms.receiveMax, this.#options.windowMax);
    this.#carriage = { connection, inflightMax, ended: new AbortController() };
    // While another gateway sent what is ours, its acknowledgements have moved the cursors.
    for (const shipper of this.shippers) shipper.reset();
    this.#work();
  }

  /** The connection is no longer used: what was in flight is forgotten, and will be read again. */
  end(): void {
    this.#carriage?.ended.abort();
    this.#carriage = null;
    this.#watched = false;
    this.#endPause();
    this.#settle();
    for (const shipper of this.shippers) shipper.reset();
    if (this.#letGo.size > 0) this.wake();
    this.#draining?.();
  }

  /** Does what there is to do at the end of this turn of the event loop. */
  wake(): void {
    if (this.#woken) return;
    this.#woken = true;
    this.#tools.clock.afterTurn(() => {
      this.#woken = false;
      this.#work();
    });
  }

  acknowledged(token: number): void {
    if (this.#finish(token)) this.#tools.ledger.delivered(this.#tools.clock.monotonicMs());
  }

  refused(token: number, reason: DropReason): void {
    const { letters } = this.#tools;
    const shipper = this.shippers[token >>> SLOT_BITS];
    const seq = shipper?.window.seqAt(token & SLOT_MASK) ?? null;
    if (letters === null || shipper === undefined || seq === null) this.#giveUp(token, reason);
    else this.#await(this.#giveUpAsLetter(letters, shipper.lane, seq, token, reason));
  }

  /**
   * Lets go of a lane, does the task, and goes on behind what the task says was lost. What is in flight comes to its end
   * first: it is acknowledged, or the connection ends. One task a lane at a time.
   */
  async withLane(index: number, task: () => Promise<Loss | null>): Promise<Loss | null> {
    const shipper = this.shippers[index] as Shipper;
    shipper.letGo();
    const done = new Promise<void>((resolve) => this.#letGo.set(shipper, resolve));
    this.wake();
    await done;
    let loss: Loss | null = null;
    try {
      loss = await task();
    } finally {
      shipper.takeUp(loss);
      this.#tools.gaps[index]?.settled(loss);
      if (loss !== null) this.#tools.ledger.dropped("operator", totalOf(loss.dropped));
      this.wake();
    }
    return loss;
  }

  /** Sends nothing new. Resolves when nothing is in flight any more. */
  drain(): Promise<void> {
    return new Promise((resolve) => {
      this.#draining = resolve;
      if (this.inflight > 0) this.#carriage?.connection.prompt();
      this.wake();
    });
  }

  /** Resolves when nothing of it is left running. Only after `end`. */
  async stop(): Promise<void> {
    this.#life.abort();
    await Promise.all(this.#reads);
  }

  get inflight(): number {
    return this.shippers.reduce((sum, shipper) => sum + shipper.window.inflight, 0);
  }

  #work(): void {
    const { journal } = this.#tools;
    for (const shipper of this.shippers) {
      shipper.advance(journal.durableSeq, journal.laneTotals[shipper.lane] ?? 0);
    }
    this.#settle();
    if (this.#draining !== null) {
      if (this.inflight === 0) this.#draining();
      return;
    }
    if (this.#carriage === null) return;
    this.#fill(this.#carriage);
    for (const shipper of this.shippers) this.#readAhead(shipper);
    this.#watch(this.#carriage);
  }

  #settle(): void {
    for (const [lane, shipper] of this.shippers.entries()) {
      const loss = shipper.settle();
      this.#tools.gaps[lane]?.settled(loss);
      if (!shipper.isLetGo) continue;
      this.#letGo.get(shipper)?.();
      this.#letGo.delete(shipper);
    }
  }

  #fill({ connection, inflightMax }: Carriage): void {
    const { clock, pacer, permit } = this.#tools;
    const nowMs = clock.monotonicMs();
    const moment: Moment = { nowMs, wallMs: pacer === null ? 0 : clock.wallMs() };
    const bytesMax = this.#options.limits.inflightBytesMax;
    let room = inflightMax - this.inflight;
    let bytes = this.shippers.reduce((sum, shipper) => sum + shipper.window.inflightBytes, 0);
    while (room > 0 && bytes < bytesMax && (permit === null || permit.may())) {
      const lane = this.#turn.next(this.#ready(moment));
      const shipper = this.shippers[lane];
      if (shipper === undefined) break;
      const sent = this.#send(shipper, connection);
      if (sent === null) continue;
      shipper.sent(sent, nowMs);
      pacer?.sent(lane, sent, moment);
      bytes += sent;
      room--;
    }
    connection.flush();
    if (room > 0) this.#pauseUntilReady(moment);
  }

  /** Bytes on the wire, or null when the lane's next message was given up. */
  #send(shipper: Shipper, connection: CloudConnection): number | null {
    const entry = shipper.peek();
    if (entry === null) return null;
    const { topic } = entry.message;
    const route = isOwnTopic(topic) ? this.#tools.ownRoute(topic) : this.#tools.route(topic);
    let outcome: number | DropReason;
    if (route === null) outcome = "unrouted";
    else if (route.fault !== null) outcome = "topic-invalid";
    else if (isExpired(entry, route.expirySeconds, this.#tools.clock)) outcome = "expired";
    else outcome = connection.send(tokenOf(shipper), entry, route);
    if (typeof outcome === "number") return outcome;
    this.#tools.ledger.dropped(outcome);
    shipper.skipped(outcome);
    this.wake();
    return null;
  }

  /** Bit n: lane n has something to send, and may. */
  #ready(moment: Moment): number {
    const { pacer, isPaused } = this.#tools;
    let ready = 0;
    for (let index = 0; index < this.shippers.length; index++) {
      if (isPaused(index) || this.shippers[index]?.peek() == null) continue;
      if (pacer === null || pacer.waitMs(index, moment) === 0) ready |= 1 << index;
    }
    return ready;
  }

  /** What has something to send and may not yet is looked at again when it may. One timer at most. */
  #pauseUntilReady(moment: Moment): void {
    const { pacer, budget, clock, isPaused } = this.#tools;
    if (pacer === null) return;
    let waitMs = Number.POSITIVE_INFINITY;
    for (const [lane, shipper] of this.shippers.entries()) {
      if (isPaused(lane) || shipper.peek() === null) pacer.idle(lane);
      else waitMs = Math.min(waitMs, pacer.waitMs(lane, moment));
    }
    budget?.reserve(() => this.wake());
    const endsMs = moment.nowMs + Math.max(PAUSE_MS_MIN, waitMs);
    if (endsMs >= this.#pauseEndsMs) return;
    this.#endPause();
    this.#pauseEndsMs = endsMs;
    clock.sleep(endsMs - moment.nowMs, this.#pause.signal).then(
      () => {
        this.#pauseEndsMs = Number.POSITIVE_INFINITY;
        this.wake();
      },
      () => undefined,
    );
  }

  #endPause(): void {
    this.#pause.abort();
    this.#pause = new AbortController();
    this.#pauseEndsMs = Number.POSITIVE_INFINITY;
  }

  #giveUp(token: number, reason: DropReason): void {
    if (this.#finish(token, reason)) this.#tools.ledger.dropped(reason);
  }

  /** Until it is a letter it is in flight; when it cannot become one, that is, until the connection ends. */
  async #giveUpAsLetter(
    letters: DeadLetters,
    lane: number,
    seq: number,
    token: number,
    reason: DropReason,
  ): Promise<void> {
    const carriage = this.#carriage;
    const isKept = await letters.keep(lane, seq, reason);
    if (isKept && carriage === this.#carriage) this.#giveUp(token, reason);
  }

  #await(work: Promise<void>): void {
    const awaited = work.finally(() => this.#reads.delete(awaited));
    this.#reads.add(awaited);
  }

  #finish(token: number, reason: DropReason | null = null): boolean {
    const shipper = this.shippers[token >>> SLOT_BITS];
    const nowMs = this.#tools.clock.monotonicMs();
    const news = shipper?.finished(token & SLOT_MASK, nowMs, reason) ?? false;
    if (news) this.wake();
    return news;
  }

  #readAhead(shipper: Shipper): void {
    const { journal } = this.#tools;
    const { durableSeq } = journal;
    const afterSeq = shipper.beginRead(durableSeq);
    if (afterSeq === null) return;
    const { readMessagesMax: messagesMax, readBytesMax: bytesMax } = this.#options.limits;
    const read = journal
      .read(afterSeq, { messagesMax, bytesMax }, shipper.lane)
      .then((entries) => {
        shipper.took(entries, durableSeq);
        this.wake();
      })
      .catch((error) => this.#readFailed(shipper, error));
    this.#await(read);
  }

  #readFailed(shipper: Shipper, error: unknown): void {
    const { clock, log, ledger } = this.#tools;
    ledger.readFailed();
    log.error("reading the journal failed", { lane: shipper.lane, ...errorFields(error) });
    const again = () => {
      shipper.readFailed();
      this.wake();
    };
    clock.sleep(this.#options.limits.readRetryMs, this.#life.signal).then(again, () => undefined);
  }

  /** One timer at most, only while something is in flight; it is set anew when it fires, not with each message. */
  #watch(carriage: Carriage): void {
    if (this.#watched) return;
    const dueMs = this.#dueMs();
    if (dueMs === null) return;
    const { clock } = this.#tools;
    const leftMs = dueMs - clock.monotonicMs();
    if (leftMs <= 0) {
      this.#tools.stalled();
      return;
    }
    this.#watched = true;
    clock.sleep(leftMs, carriage.ended.signal).then(
      () => {
        this.#watched = false;
        this.#watch(carriage);
      },
      () => undefined,
    );
  }

  #dueMs(): number | null {
    let first: number | null = null;
    for (const shipper of this.shippers) {
      const dueMs = shipper.dueMs(this.#options.acknowledgeTimeoutMs);
      if (dueMs !== null && (first === null || dueMs < first)) first = dueMs;
    }
    return first;
  }
}

/** Timers are no finer: what becomes ready within it is sent together. */
const PAUSE_MS_MIN = 5;
const SLOT_BITS = 16;
const SLOT_MASK = 0xffff;

function isExpired(entry: SourceEntry, expirySeconds: number | null, clock: Clock): boolean {
  return expirySeconds !== null && ageMs(entry, clock) >= expirySeconds * 1000;
}

/** Names a message in flight: its lane and its slot in the lane's window. */
function tokenOf(shipper: Shipper): number {
  return ((shipper.lane - LANES.alarm) << SLOT_BITS) | shipper.window.nextSlot;
}
