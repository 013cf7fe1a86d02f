import type { Clock } from "../base/clock.ts";
import { errorFields, FieldgateError } from "../base/errors.ts";
import type { Log } from "../base/log.ts";
import type { Message } from "../mqtt/message.ts";
import { countFailure, type ReplicationCounters } from "./counters.ts";
import {
  ackFrame,
  FRAME,
  jsonFrame,
  notUnderstood,
  readBatch,
  readClaim,
  readJson,
  readRelay,
  splitBlocks,
  wantFrame,
} from "./frames.ts";
import { type Greeting, objection, readGreeting, refusalOf } from "./greeting.ts";
import { Heartbeat } from "./heartbeat.ts";
import type { PeerLimits } from "./limits.ts";
import { interestFrame, readLive } from "./live.ts";
import { type OfficeNote, readOffice } from "./office.ts";
import type { Channel, ChannelReceiver, Codec, CopiedJournal } from "./ports.ts";
import { type Positions, readPositions } from "./positions.ts";

export interface ReceiverTools {
  readonly clock: Clock;
  readonly log: Log;
  readonly limits: PeerLimits;
  readonly codec: Codec;
  readonly counters: ReplicationCounters;
  readonly greeting: () => Greeting;
  /**
   * The replica of the one who greets.
   * @throws FieldgateError ERR_SITE_DUPLICATE, or what opening a store throws
   */
  readonly admit: (other: Greeting, receiver: Receiver) => Promise<CopiedJournal>;
  readonly positions: (told: Positions) => void;
  /** Blocks of another gateway's journal, which we had asked for. */
  readonly relayed: (journal: string, blocks: readonly Buffer[]) => void;
  /** What is subscribed to here. */
  readonly filters: () => readonly string[];
  /** Messages that are not kept. */
  readonly live: (messages: readonly Message[], gateway: string) => void;
  /** A client has come to that gateway. */
  readonly claimed: (client: string, gateway: string) => void;
  /** How far a hand-over between that gateway and this one is. */
  readonly office: (gateway: string, note: OfficeNote) => void;
  readonly ended: (receiver: Receiver) => void;
}

const FULL_RETRY_MS = 500;
const AHEAD: ReadonlySet<number | undefined> = new Set([FRAME.positions, FRAME.office]);

/** Another gateway's journal on its way to us, over one connection: stored, synced, then acknowledged. */
export class Receiver implements ChannelReceiver {
  readonly #tools: ReceiverTools;
  readonly #channel: Channel;
  readonly #certified: string;
  readonly #heartbeat: Heartbeat;
  readonly #life = new AbortController();
  #other: Greeting | null = null;
  #replica: CopiedJournal | null = null;
  #unfollow: () => void = () => {};
  #work: Promise<void> = Promise.resolve();
  #waitingBytes = 0;
  #isPaused = false;
  #ackedSeq = -1;
  #toldFilters: readonly string[] | null = null;

  /** @param certified the gateway id in the other one's certificate */
  constructor(tools: ReceiverTools, channel: Channel, certified: string) {
    this.#tools = tools;
    this.#channel = channel;
    this.#certified = certified;
    const silent = (error: FieldgateError) => this.fail(error);
    this.#heartbeat = new Heartbeat(tools.clock, channel, tools.limits.silenceMsMax, silent);
  }

  get gateway(): string {
    return this.#other?.gateway ?? this.#certified;
  }
  get journal(): string | null {
    return this.#other?.journal ?? null;
  }

  /** Tells the peer what is subscribed to here, when that has changed. */
  tellInterest(): void {
    if (this.#replica === null || this.#life.signal.aborted) return;
    const filters = this.#tools.filters();
    if (filters === this.#toldFilters) return;
    this.#toldFilters = filters;
    this.#channel.send(interestFrame(filters));
  }

  /** Asks the peer for what it has of another gateway's journal. */
  want(journal: string, afterSeq: number): void {
    if (!this.#life.signal.aborted) this.#channel.send(wantFrame(journal, afterSeq));
  }

  opened(): void {
    const { clock, limits } = this.#tools;
    const late = new FieldgateError("ERR_PEER_SILENT", "a peer connected and said nothing");
    clock.sleep(limits.connectTimeoutMs, this.#life.signal).then(
      () => this.#other === null && this.fail(late),
      () => undefined,
    );
  }

  /**
   * Frames are dealt with one by one, in order. Those that wait are bounded: beyond that nothing is read. What says nothing of the
   * blocks before it waits for none of them: positions may be what makes room for a batch, and a hand-over is in a hurry.
   */
  frame(frame: Buffer): void {
    this.#heartbeat.heard();
    if (frame[0] === FRAME.ping) return;
    if (this.#replica !== null && AHEAD.has(frame[0])) this.#takeAhead(frame);
    else this.#queue(frame);
  }

  #queue(frame: Buffer): void {
    this.#waitingBytes += frame.length;
    if (this.#waitingBytes > this.#tools.limits.windowBytesMax && !this.#isPaused) {
      this.#isPaused = true;
      this.#channel.pause();
    }
    this.#work = this.#work
      .then(() => (this.#life.signal.aborted ? undefined : this.#take(frame)))
      .catch((error) => this.fail(error))
      .finally(() => this.#dealtWith(frame.length));
  }

  closed(error: FieldgateError): void {
    this.#end(error);
  }

  /** Ends the connection; the other side is told why, when it is for a reason that it should know. */
  fail(cause: unknown): void {
    if (this.#life.signal.aborted) return;
    const error =
      cause instanceof FieldgateError
        ? cause
        : new FieldgateError("ERR_PEER_CLOSED", "what a peer sent could not be kept", { cause });
    const { code, message } = error;
    if (code !== "ERR_PEER_SILENT") this.#channel.send(jsonFrame(FRAME.refused, { code, message }));
    this.#channel.close();
    this.#end(error);
  }

  /** Resolves when nothing of it is left running. */
  async stop(): Promise<void> {
    if (!this.#life.signal.aborted) {
      this.#channel.close();
      this.#end(null);
    }
    await this.#work;
  }

  async #take(frame: Buffer): Promise<void> {
    const type = frame[0];
    if (this.#replica === null) {
      if (type !== FRAME.hello) throw notUnderstood("a peer that does not greet");
      return await this.#greeted(readGreeting(readJson(frame)));
    }
    if (type === FRAME.batch) await this.#batch(frame, this.#replica);
    else if (type === FRAME.live) this.#tools.live(readLive(frame), this.gateway);
    else if (type === FRAME.claim) this.#tools.claimed(readClaim(frame), this.gateway);
    else if (type === FRAME.relay) await this.#relayed(frame);
    else if (type === FRAME.refused) throw refusalOf(readJson(frame));
    else throw notUnderstood(`a frame of type ${type} where none is expected`);
  }

  #takeAhead(frame: Buffer): void {
    if (this.#life.signal.aborted) return;
    try {
      if (frame[0] === FRAME.positions) this.#tools.positions(readPositions(readJson(frame)));
      else this.#tools.office(this.gateway, readOffice(frame));
    } catch (error) {
      this.fail(error);
    }
  }

  async #greeted(other: Greeting): Promise<void> {
    const own = this.#tools.greeting();
    const refused = objection(own, other, this.#certified);
    if (refused !== null) throw refused;
    this.#other = other;
    const replica = await this.#tools.admit(other, this);
    if (this.#life.signal.aborted) return;
    this.#replica = replica;
    this.#ackedSeq = replica.durableSeq;
    this.#channel.send(jsonFrame(FRAME.welcome, { ...own, haveSeq: replica.durableSeq }));
    this.tellInterest();
    this.#heartbeat.start();
    this.#unfollow = replica.onCommit(() => this.#acknowledge(replica));
    this.#tools.log.info("a peer copies its journal to us", {
      peer: other.gateway,
      haveSeq: replica.durableSeq,
    });
  }

  async #batch(frame: Buffer, replica: CopiedJournal): Promise<void> {
    const { counters } = this.#tools;
    for (const value of await this.#blocksOf(frame)) {
      const taken = await this.#kept(value, replica);
      if (taken === null) return;
      if (taken.isNews) counters.blocksTaken++;
      else counters.blocksKnown++;
      if (taken.missed === 0) continue;
      counters.seqsMissed += taken.missed;
      const fields = { peer: this.gateway, seqs: taken.missed };
      this.#tools.log.warn("a replica has a gap: its origin had no longer what we missed", fields);
    }
    this.#acknowledge(replica);
  }

  async #relayed(frame: Buffer): Promise<void> {
    const { journal, batch } = readRelay(frame);
    const blocks = await this.#blocksOf(batch);
    if (!this.#life.signal.aborted) this.#tools.relayed(journal, blocks);
  }

  async #blocksOf(frame: Buffer): Promise<Buffer[]> {
    const { codec, limits } = this.#tools;
    const { isPacked, rawBytes, body } = readBatch(frame, limits.frameBytesMax);
    return splitBlocks(isPacked ? await unpacked(codec, body, rawBytes) : body);
  }

  /** Waits for room while the replica is full. Null when the connection has ended meanwhile. */
  async #kept(value: Buffer, replica: CopiedJournal) {
    for (let attempt = 1; !this.#life.signal.aborted; attempt++) {
      try {
        return replica.copies.take(value);
      } catch (error) {
        if (!(error instanceof FieldgateError) || error.code !== "ERR_STORE_FULL") throw error;
        this.#tools.counters.replicaFull++;
        if (attempt === 1) {
          const fields = { peer: this.gateway, ...errorFields(error) };
          this.#tools.log.error("the replica is full: nothing more is taken into it", fields);
        }
      }
      await this.#tools.clock.sleep(FULL_RETRY_MS, this.#life.signal).catch(() => undefined);
    }
    return null;
  }

  #acknowledge(replica: CopiedJournal): void {
    const { durableSeq } = replica;
    if (durableSeq <= this.#ackedSeq || this.#life.signal.aborted) return;
    this.#ackedSeq = durableSeq;
    this.#channel.send(ackFrame(durableSeq));
  }

  #dealtWith(bytes: number): void {
    this.#waitingBytes -= bytes;
    if (!this.#isPaused || this.#waitingBytes > this.#tools.limits.windowBytesMax / 2) return;
    this.#isPaused = false;
    this.#channel.resume();
  }

  #end(error: FieldgateError | null): void {
    if (this.#life.signal.aborted) return;
    this.#life.abort();
    this.#heartbeat.stop();
    this.#unfollow();
    this.#tools.ended(this);
    if (error === null) return;
    countFailure(this.#tools.counters, error.code);
    const fields = { peer: this.gateway, ...errorFields(error) };
    this.#tools.log.warn("a peer's connection to us ended", fields);
  }
}

async function unpacked(codec: Codec, body: Buffer, rawBytes: number): Promise<Buffer> {
  try {
    return await codec.unpack(body, rawBytes);
  } catch (cause) {
    throw notUnderstood("a batch that cannot be unpacked", cause);
  }
}
