import type { Clock } from "../base/clock.ts";
import { errorFields } from "../base/errors.ts";
import type { Log } from "../base/log.ts";
import type { CloudConnection, CloudTerms, DropReason } from "./cloud.ts";
import type { Ledger } from "./ledger.ts";
import type { UplinkLimits } from "./limits.ts";
import { cursorName, LANES, type LaneName, type Router } from "./rules.ts";
import { Shipper } from "./shipper.ts";
import type { Source } from "./source.ts";
import { Turn } from "./turn.ts";

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
  readonly ledger: Ledger;
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

  constructor(options: CarrierOptions, tools: CarrierTools) {
    this.#options = options;
    this.#tools = tools;
    this.#turn = new Turn(options.limits.shares);
    this.shippers = (Object.keys(LANES) as LaneName[]).map((name) => {
      const cursor = tools.journal.cursor(cursorName(name));
      return new Shipper(LANES[name], cursor, options.windowMax, options.limits.readMessagesMax);
    });
  }

  /** A connection is open: everything after the cursors goes over it. */
  begin(connection: CloudConnection, terms: CloudTerms): void {
    const inflightMax = Math.min(terms.receiveMax, this.#options.windowMax);
    this.#carriage = { connection, inflightMax, ended: new AbortController() };
    this.wake();
  }

  /** The connection is no longer used: what was in flight is forgotten, and will be read again. */
  end(): void {
    this.#carriage?.ended.abort();
    this.#carriage = null;
    this.#watched = false;
    for (const shipper of this.shippers) {
      shipper.settle();
      shipper.reset();
    }
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
    if (this.#finish(token)) this.#tools.ledger.dropped(reason);
  }

  /** Sends nothing new. Resolves when nothing is in flight any more. */
  drain(): Promise<void> {
    return new Promise((resolve) => {
      this.#draining = resolve;
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
      shipper.settle();
    }
    if (this.#draining !== null) {
      if (this.inflight === 0) this.#draining();
      return;
    }
    if (this.#carriage === null) return;
    this.#fill(this.#carriage);
    for (const shipper of this.shippers) this.#readAhead(shipper);
    this.#watch(this.#carriage);
  }

  #fill({ connection, inflightMax }: Carriage): void {
    const nowMs = this.#tools.clock.monotonicMs();
    const bytesMax = this.#options.limits.inflightBytesMax;
    let room = inflightMax - this.inflight;
    let bytes = this.shippers.reduce((sum, shipper) => sum + shipper.window.inflightBytes, 0);
    while (room > 0 && bytes < bytesMax) {
      const shipper = this.shippers[this.#turn.next(this.#ready())];
      if (shipper === undefined) break;
      const sent = this.#send(shipper, connection);
      if (sent === null) continue;
      shipper.sent(sent, nowMs);
      bytes += sent;
      room--;
    }
    connection.flush();
  }

  /** Bytes on the wire, or null when the lane's next message was given up. */
  #send(shipper: Shipper, connection: CloudConnection): number | null {
    const entry = shipper.peek();
    if (entry === null) return null;
    const route = this.#tools.route(entry.message.topic);
    let outcome: number | DropReason;
    if (route === null) outcome = "unrouted";
    else if (route.fault !== null) outcome = "topic-invalid";
    else outcome = connection.send(tokenOf(shipper), entry, route.remoteTopic, route.qos);
    if (typeof outcome === "number") return outcome;
    this.#tools.ledger.dropped(outcome);
    shipper.skipped();
    this.wake();
    return null;
  }

  #ready(): number {
    let ready = 0;
    for (let index = 0; index < this.shippers.length; index++) {
      if (this.shippers[index]?.peek() != null) ready |= 1 << index;
    }
    return ready;
  }

  #finish(token: number): boolean {
    const shipper = this.shippers[token >>> SLOT_BITS];
    const news = shipper?.finished(token & SLOT_MASK, this.#tools.clock.monotonicMs()) ?? false;
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
      .catch((error) => this.#readFailed(shipper, error))
      .finally(() => this.#reads.delete(read));
    this.#reads.add(read);
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

const SLOT_BITS = 16;
const SLOT_MASK = 0xffff;

/** Names a message in flight: its lane and its slot in the lane's window. */
function tokenOf(shipper: Shipper): number {
  return ((shipper.lane - LANES.alarm) << SLOT_BITS) | shipper.window.nextSlot;
}
