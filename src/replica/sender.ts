import { fullJitter } from "../base/backoff.ts";
import { errorFields, FieldgateError } from "../base/errors.ts";
import type { Random } from "../base/random.ts";
import type { Message } from "../mqtt/message.ts";
import { countFailure } from "./counters.ts";
import {
  claimFrame,
  FRAME,
  jsonFrame,
  notUnderstood,
  readAck,
  readJson,
  readWant,
} from "./frames.ts";
import { type Greeting, objection, readWelcome, refusalOf } from "./greeting.ts";
import { Heartbeat } from "./heartbeat.ts";
import { BATCH_BYTES } from "./limits.ts";
import { liveBytes, liveFrame, readInterest } from "./live.ts";
import { type OfficeNote, officeFrame } from "./office.ts";
import type { Channel, Peer, PeerNetwork } from "./ports.ts";
import { PEER_CURSORS, type Positions } from "./positions.ts";
import { Shipment, type ShipmentTools } from "./shipment.ts";

export interface SenderTools extends ShipmentTools {
  readonly random: Random;
  readonly network: PeerNetwork;
  readonly greeting: () => Greeting;
  /** It is connected, and has our journal up to there. */
  readonly connected: (peer: string, seq: number) => void;
  readonly acked: (peer: string, seq: number) => void;
  readonly lost: (peer: string) => void;
  readonly sawEpoch: (epoch: number) => void;
  /** A connection broke. What is returned is called when the peer's process is known to have ended. */
  readonly broke: (peer: string) => () => void;
  /** Of all journals that this gateway has. */
  readonly positions: () => readonly Positions[];
  /** What the peer has subscribers for; nothing when the connection has ended. */
  readonly interested: (peer: string, filters: readonly string[]) => void;
  /** The answer to a peer that lacks another gateway's journal: a frame. */
  readonly relay: (journal: string, afterSeq: number) => Promise<Buffer>;
}

export interface SenderStatus {
  readonly id: string;
  readonly address: string;
  readonly state: "connecting" | "connected" | "waiting";
  readonly ackedSeq: number;
  readonly failures: number;
  readonly lastError: Readonly<Record<string, unknown>> | null;
}

/** A connection broke. When nobody listens any more where the peer was, its process has ended. */
interface Suspicion {
  readonly address: string;
  readonly untilMs: number;
  readonly ended: () => void;
  /** How often it was connected to since. */
  asked: number;
}

/** A peer that is refused later than this after its connection broke may have been restarted meanwhile. */
const SUSPECT_MS_MAX = 1000;
/** While it may have ended it is asked without jitter: a process that is being killed closes its sockets one after the other. */
const SUSPECT = { firstMs: 2, maxMs: 100 };
/** A connection that lived for so long was a good one: the next failure is the first. */
const STABLE_MS = 5000;
const PAUSE_MS_MIN = 20;
/** Answers that a peer may wait for, of as many journals. */
const WANTS_MAX = 64;

/** Our journal's way to one peer: connects, greets, ships, and after a failure connects again. */
export class Sender {
  readonly #tools: SenderTools;
  readonly #life = new AbortController();
  #peer: Peer;
  #state: SenderStatus["state"] = "waiting";
  #shipment: Shipment | null = null;
  #channel: Channel | null = null;
  #ackedSeq = 0;
  #failures = 0;
  #lastError: FieldgateError | null = null;
  #told = new Map<string, string>();
  #live: Buffer[] = [];
  #liveBytes = 0;
  #wants = 0;
  #suspicion: Suspicion | null = null;
  #answering: Promise<void> = Promise.resolve();
  #running: Promise<void> = Promise.resolve();
  #nap = new AbortController();

  constructor(tools: SenderTools, peer: Peer) {
    this.#tools = tools;
    this.#peer = peer;
  }

  start(): void {
    this.#running = this.#run();
  }

  async stop(): Promise<void> {
    this.#life.abort();
    this.#nap.abort();
    await Promise.all([this.#running, this.#answering]);
  }

  /** The peer has registered with these. A new address is tried at once. */
  update(peer: Peer): void {
    const isMoved = peer.address !== this.#peer.address;
    this.#peer = peer;
    if (isMoved) this.#nap.abort();
  }

  wake(): void {
    this.#shipment?.wake();
  }

  /** Tells the peer what has changed of how far journals are dealt with. */
  tellPositions(): void {
    if (this.#shipment === null) return;
    const news = this.#news();
    if (news.length > 0) this.#channel?.send(...news);
  }

  #news(): readonly Buffer[] {
    const frames: Buffer[] = [];
    for (const positions of this.#tools.positions()) {
      const text = JSON.stringify(positions);
      if (this.#told.get(positions.journal) === text) continue;
      this.#told.set(positions.journal, text);
      frames.push(jsonFrame(FRAME.positions, positions));
    }
    return frames;
  }

  /** A client has come here: the peer lets go of it. False when it cannot be told. */
  claim(client: string): boolean {
    if (this.#shipment === null) return false;
    this.#channel?.send(claimFrame(client));
    return true;
  }

  /**
   * Tells the peer how far a hand-over is, behind all that is known of positions: in one piece, as a second one would leave only
   * when this process has time again. False when it cannot be told.
   */
  office(note: OfficeNote): boolean {
    if (this.#shipment === null) return false;
    this.#channel?.send(...this.#news(), officeFrame(note));
    return true;
  }

  /** Passes on a message that is not kept, or drops it when the peer is slow or away. */
  live(message: Message): void {
    const channel = this.#channel;
    const { limits, counters, clock } = this.#tools;
    const isSlow = channel === null || channel.pendingBytes > limits.windowBytesMax;
    if (isSlow || this.#shipment === null || this.#liveBytes > limits.windowBytesMax) {
      counters.liveDropped++;
      return;
    }
    const bytes = liveBytes(message);
    counters.liveSent++;
    this.#live.push(bytes);
    this.#liveBytes += bytes.length;
    if (this.#live.length === 1) clock.afterTurn(() => this.#flushLive());
  }

  /** In frames that the peer takes. One message is never larger: see checkPeer in config/check-site.ts. */
  #flushLive(): void {
    const messages = this.#live;
    this.#live = [];
    this.#liveBytes = 0;
    for (let from = 0; from < messages.length; ) {
      let to = from;
      for (let bytes = 0; to < messages.length; to++) {
        bytes += messages[to]?.length ?? 0;
        if (to > from && bytes > BATCH_BYTES) break;
      }
      this.#channel?.send(liveFrame(messages.slice(from, to)));
      from = to;
    }
  }

  status(): SenderStatus {
    return {
      id: this.#peer.id,
      address: this.#peer.address,
      state: this.#state,
      ackedSeq: this.#ackedSeq,
      failures: this.#failures,
      lastError: this.#lastError === null ? null : errorFields(this.#lastError),
    };
  }

  async #run(): Promise<void> {
    const { clock, limits, random } = this.#tools;
    const timing = { firstMs: limits.backoffFirstMs, maxMs: limits.backoffMaxMs };
    for (let attempt = 1; !this.#life.signal.aborted; attempt++) {
      const beganMs = clock.monotonicMs();
      const error = await this.#session();
      if (this.#life.signal.aborted) return;
      if (clock.monotonicMs() - beganMs >= STABLE_MS) attempt = 1;
      this.#fail(error);
      this.#suspect(error);
      this.#nap = new AbortController();
      const pauseMs =
        this.#suspicion === null
          ? PAUSE_MS_MIN + fullJitter(attempt, timing, random)
          : Math.min(SUSPECT.maxMs, SUSPECT.firstMs * 2 ** this.#suspicion.asked++);
      await clock.sleep(pauseMs, this.#nap.signal).catch(() => undefined);
    }
  }

  /** One connection, from its beginning to its end. Resolves with why it ended. */
  async #session(): Promise<FieldgateError> {
    const { network, clock, limits } = this.#tools;
    const { address, id } = this.#peer;
    const ended = new AbortController();
    this.#state = "connecting";
    const error = await new Promise<FieldgateError>((resolve) => {
      const fail = (cause: unknown) => resolve(asPeerError(cause));
      const channel = network.dial(address, id, {
        opened: () => channel.send(jsonFrame(FRAME.hello, this.#tools.greeting())),
        frame: (frame) => {
          heartbeat.heard();
          try {
            const wasConnected = this.#shipment !== null;
            this.#hear(frame, channel, fail);
            if (!wasConnected && this.#shipment !== null) heartbeat.start();
          } catch (cause) {
            fail(cause);
          }
        },
        closed: fail,
      });
      const heartbeat = new Heartbeat(clock, channel, limits.silenceMsMax, fail);
      this.#channel = channel;
      const late = new FieldgateError("ERR_PEER_SILENT", "the peer did not answer in time", {
        details: { connectTimeoutMs: limits.connectTimeoutMs },
      });
      clock.sleep(limits.connectTimeoutMs, ended.signal).then(
        () => this.#shipment === null && fail(late),
        () => undefined,
      );
      const stopped = () => fail(new FieldgateError("ERR_PEER_CLOSED", "stopped"));
      this.#life.signal.addEventListener("abort", stopped, { once: true });
      ended.signal.addEventListener("abort", () => {
        heartbeat.stop();
        this.#life.signal.removeEventListener("abort", stopped);
      });
    });
    ended.abort();
    this.#end();
    return error;
  }

  #hear(frame: Buffer, channel: Channel, fail: (error: unknown) => void): void {
    const type = frame[0];
    if (type === FRAME.ping) return;
    if (type === FRAME.refused) throw refusalOf(readJson(frame));
    if (type === FRAME.welcome && this.#shipment === null) this.#welcomed(frame, channel, fail);
    else if (type === FRAME.ack && this.#shipment !== null) this.#shipment.acked(readAck(frame));
    else if (type === FRAME.interest) this.#tools.interested(this.#peer.id, readInterest(frame));
    else if (type === FRAME.want && this.#shipment !== null) this.#wanted(frame, channel);
    else throw notUnderstood(`a frame of type ${type} where none is expected`);
  }

  #welcomed(frame: Buffer, channel: Channel, fail: (error: unknown) => void): void {
    const welcome = readWelcome(readJson(frame));
    const { id } = this.#peer;
    const refused = objection(this.#tools.greeting(), welcome, id);
    if (refused !== null) throw refused;
    this.#tools.sawEpoch(welcome.epoch);
    this.#told = new Map();
    this.#state = "connected";
    this.#lastError = null;
    const { journal } = this.#tools;
    journal.cursor(PEER_CURSORS + id).move(Math.min(welcome.haveSeq, journal.durableSeq), 0);
    this.#shipment = new Shipment(this.#tools, channel, welcome.haveSeq, {
      moved: (seq) => this.#moved(seq),
      failed: fail,
    });
    this.#tools.log.info("a peer takes our journal", { peer: id, haveSeq: welcome.haveSeq });
    this.#ackedSeq = welcome.haveSeq;
    this.#tools.connected(id, welcome.haveSeq);
    this.tellPositions();
    this.#shipment.wake();
  }

  /** Answered one after the other. A peer that has not been answered asks for nothing more of that journal for a while. */
  #wanted(frame: Buffer, channel: Channel): void {
    const { journal, afterSeq } = readWant(frame);
    if (++this.#wants > WANTS_MAX) throw notUnderstood("a peer that wants too much at once");
    this.#answering = this.#answering
      .then(() => this.#tools.relay(journal, afterSeq))
      .then(
        (answer) => channel.send(answer),
        (error) => this.#tools.log.warn("a peer is not answered", errorFields(error)),
      )
      .finally(() => this.#wants--);
  }

  /** Keeps our journal from trimming what the peer lacks, unless it was given up (`backlogBytesMax`). */
  #moved(seq: number): void {
    const { journal } = this.#tools;
    const name = PEER_CURSORS + this.#peer.id;
    if (journal.cursorNames().includes(name)) {
      journal.cursor(name).move(Math.min(seq, journal.durableSeq), 0);
    }
    this.#ackedSeq = seq;
    this.#tools.acked(this.#peer.id, seq);
  }

  #end(): void {
    const wasConnected = this.#shipment !== null;
    if (wasConnected) {
      const { id, address } = this.#peer;
      const untilMs = this.#tools.clock.monotonicMs() + SUSPECT_MS_MAX;
      this.#suspicion = { address, untilMs, ended: this.#tools.broke(id), asked: 0 };
    }
    this.#shipment?.end();
    this.#shipment = null;
    this.#channel?.close();
    this.#channel = null;
    this.#state = "waiting";
    if (!wasConnected) return;
    this.#tools.interested(this.#peer.id, []);
    this.#tools.lost(this.#peer.id);
  }

  /**
   * Closed by the other side, and then refused by its machine: that is a process that has ended. Silence is not: then the host or
   * the network is gone, and the peer may be alive behind it.
   */
  #suspect(error: FieldgateError): void {
    if (this.#suspicion === null) return;
    const { address, untilMs, ended } = this.#suspicion;
    const isFresh = this.#tools.clock.monotonicMs() < untilMs && address === this.#peer.address;
    if (error.code === "ERR_PEER_CLOSED" && isFresh) return;
    this.#suspicion = null;
    if (error.code === "ERR_PEER_GONE" && isFresh) ended();
  }

  /** Logged when the reason is another one than before: a peer that is switched off must not fill the log. */
  #fail(error: FieldgateError): void {
    const isNews = this.#lastError === null || this.#lastError.code !== error.code;
    this.#failures++;
    this.#lastError = error;
    countFailure(this.#tools.counters, error.code);
    const { id, address } = this.#peer;
    if (!isNews) return;
    this.#tools.log.warn("no connection to a peer", { peer: id, address, ...errorFields(error) });
  }
}

function asPeerError(cause: unknown): FieldgateError {
  if (cause instanceof FieldgateError) return cause;
  return new FieldgateError("ERR_PEER_CLOSED", "the connection to the peer failed", { cause });
}
