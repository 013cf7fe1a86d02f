import { clientPacket } from "../mqtt/client-packet.ts";
import { connectRefusal } from "../mqtt/connect-frame.ts";
import { FRAME, FrameReader, MALFORMED, MORE } from "../mqtt/frame.ts";
import type { QoS } from "../mqtt/message.ts";
import { PACKET, PublishFrame, publishTopicEnd } from "../mqtt/publish-frame.ts";
import { connack, PINGRESP } from "../mqtt/server-packet.ts";
import { type Asked, repeatsItself, subackOf } from "../mqtt/subscribe-frame.ts";
import { NO_RIGHTS, type Rights } from "./access.ts";
import type { ConnectionWorld } from "./connection-world.ts";
import type { ControlStream } from "./control-stream.ts";
import { Held } from "./held.ts";
import type { Publisher } from "./intake.ts";
import { LastRight, LastRoute } from "./last-route.ts";
import { Outbox } from "./outbox.ts";
import type { Channel, ChannelReceiver } from "./ports.ts";
import { paceOf, type RateLimit } from "./rates.ts";
import type { Route } from "./router.ts";
import type { Session, SessionLink } from "./session.ts";

/**
 *   awaiting ──CONNECT──▶ held ──clientReady──▶ open ──SUBSCRIBE, UNSUBSCRIBE──▶ held ──answered──▶ open
 *
 *   any ── error, end of the channel, end of control ──▶ closed
 *
 * While held, nothing is parsed, so that control packets and messages take effect in the order in which they came.
 * A channel that ends while held is closed only when what had come before is dealt with.
 */
type Phase = "awaiting" | "held" | "open" | "closed";

/** One client's connection: splits its bytes into control packets, for aedes, and messages, for the data plane. */
export class Connection implements ChannelReceiver, Publisher, SessionLink {
  readonly channel: Channel;
  /** The name of the listener that took it. */
  readonly listener: string;
  readonly outbox: Outbox;
  readonly holdsRefused = true;
  /** Messages of QoS 1 and 2 that wait for room in the store. Nothing is lost: they are not acknowledged. */
  readonly held = new Held();
  lastSeq = 0;
  published = 0;
  behindBytes = 0;
  session: Session | null = null;
  /** 0: none. Set with CONNECT; one and a half times what the client asked for [MQTT-3.1.2-24]. */
  silenceMsMax = 0;
  lastSeenMs: number;
  /** When it came: before any handshake. */
  readonly openedMs: number;
  /** For CONNACK: whether a session was there [MQTT-3.2.2-2]. aedes knows only of subscriptions. */
  sessionPresent = false;
  /** What its client may do: nothing before it is let in. */
  rights: Rights = NO_RIGHTS;
  /** How much its client may publish; null: without limit. */
  rate: RateLimit | null = null;
  /** Since when a packet has begun and not ended; null when none has. */
  packetSinceMs: number | null = null;

  readonly #world: ConnectionWorld;
  readonly #reader: FrameReader;
  readonly #lastRoute: LastRoute<Session>;
  #phase: Phase = "awaiting";
  #control: ControlStream | null = null;
  #backlog: Buffer[] = [];
  #paused = false;
  #gone = false;
  #connackBytes: number[] | null = [];
  /** What a SUBSCRIBE with a filter in it twice asks for, while aedes deals with it; its answer leaves such a filter out. */
  #asked: Asked | null = null;
  readonly #lastRight = new LastRight();

  constructor(
    channel: Channel,
    from: { listener: string; sinceMs: number },
    world: ConnectionWorld,
  ) {
    this.channel = channel;
    this.listener = from.listener;
    this.#world = world;
    this.outbox = new Outbox(channel, world.turn);
    this.#reader = new FrameReader(world.connectBytesMax);
    this.#lastRoute = new LastRoute(world.routes);
    this.openedMs = from.sinceMs;
    this.lastSeenMs = world.heardMs();
  }

  get clientId(): string {
    return this.session?.clientId ?? "";
  }

  get awaitsConnect(): boolean {
    return this.#phase === "awaiting";
  }
  /** It has said who it is, and nobody knows yet whether that is so. */
  get awaitsVerdict(): boolean {
    return this.#phase === "held" && this.rights === NO_RIGHTS;
  }
  get isClosed(): boolean {
    return this.#phase === "closed";
  }
  get listens(): boolean {
    return this.#phase === "open" && !this.#paused;
  }

  // ——— the channel's side

  data(chunk: Buffer): void {
    if (this.#phase === "closed") return;
    this.lastSeenMs = this.#world.heardMs();
    this.#backlog.push(chunk);
    this.#advance();
  }

  drained(): void {
    this.#world.drained(this);
  }

  /** Not read for the time of its keep-alive: closed if the reason is that it takes nothing [MQTT-3.1.2-24]. */
  stalled(): void {
    if (this.#paused && this.outbox.pendingBytes > 0) this.close("keep-alive");
  }

  broken(reason: string): void {
    if (this.#phase !== "closed") this.close(reason);
  }

  closed(): void {
    this.#gone = true;
    if (this.#phase !== "held") this.#end("closed by the client");
  }

  // ——— the control plane's side

  controlSays(bytes: Buffer): void {
    if (this.#asked !== null) return;
    if (this.#connackBytes === null) this.outbox.raw(bytes);
    else this.#connack(this.#connackBytes, bytes);
  }

  controlEnded(): void {
    this.#end("ended");
  }

  /** aedes has said of each filter once whether it is granted. A SUBSCRIBE that has one twice is answered here [MQTT-3.8.4-5]. */
  granted(filters: ReadonlySet<string>): void {
    const asked = this.#asked;
    if (asked === null) return;
    this.#asked = null;
    this.outbox.raw(subackOf(asked, filters));
  }

  /** CONNECT was accepted and CONNACK is written, or SUBSCRIBE or UNSUBSCRIBE was answered. */
  proceed(): void {
    if (this.#phase !== "held") return;
    this.#phase = "open";
    this.#reader.bytesMax = this.#world.packetBytesMax;
    this.channel.admitted();
    this.#listenAgain();
    this.#resumeChannel();
    this.#advance();
  }

  // ——— the broker's side

  /** PUBACK or PUBREC: the message is kept. */
  accepted(packetId: number, qos: QoS): void {
    if (qos === 1) {
      this.outbox.acknowledge(PACKET.puback << 4, packetId);
      return;
    }
    // After a reconnection the client waits for it on its new connection.
    const { session } = this;
    session?.received.kept(packetId);
    session?.link?.outbox.acknowledge(PACKET.pubrec << 4, packetId);
  }

  resume(): void {
    this.#paused = false;
    this.channel.watch(0);
    this.#listenAgain();
    this.#resumeChannel();
    this.#advance();
  }

  /** Takes what is held, as far as there is room. False when some of it has to wait on. */
  retry(): boolean {
    for (let frame = this.held.peek(); frame; frame = this.held.peek()) {
      if (!this.#take(frame, this.#world.routes.route(frame.topic))) return false;
      if (this.#phase === "closed") return true;
      this.held.shift();
    }
    return true;
  }

  /** Closes at once, with a reason that is counted. The client's will is published. */
  close(reason: string): void {
    this.#world.refused(reason);
    if (this.awaitsVerdict) this.outbox.raw(connack(3));
    this.#end(reason);
  }

  // ——— parsing

  #advance(): void {
    while (this.#phase === "awaiting" || this.#phase === "open") {
      if (this.#paused) return;
      const found = this.#reader.next();
      if (found === FRAME) {
        this.packetSinceMs = null;
        this.#frame(this.#reader);
      } else if (found === MORE) {
        if (!this.#readOn()) break;
      } else {
        this.close(found === MALFORMED ? "malformed length" : "packet too long");
      }
    }
    if (this.#gone && this.#phase !== "held") this.#end("closed by the client");
  }

  /** Takes up the next piece that came. Tells whether there was one. */
  #readOn(): boolean {
    if (this.#reader.gatheredBytes > 0) this.packetSinceMs ??= this.lastSeenMs;
    const chunk = this.#backlog.shift();
    if (chunk === undefined) return false;
    this.#reader.push(chunk);
    if (this.#world.mustPause(this)) this.#pause();
    return true;
  }

  #pause(throttledMs = 0): void {
    this.#paused = true;
    if (throttledMs > 0) this.#world.throttle(this, throttledMs);
    this.channel.pause();
    this.channel.watch(this.silenceMsMax);
  }

  /** What came while it was not read is still to be seen: its times begin anew. */
  #listenAgain(): void {
    this.lastSeenMs = this.#world.nowMs();
    if (this.packetSinceMs !== null) this.packetSinceMs = this.lastSeenMs;
  }

  #frame({ bytes, start, bodyStart, end }: FrameReader): void {
    const header = bytes[start] as number;
    const type = header >> 4;
    if (this.#phase === "awaiting") {
      if (header === PACKET.connect << 4) this.#connect(this.#reader);
      else this.close("first packet is not CONNECT"); // [MQTT-3.1.0-1]
    } else if (type === PACKET.publish) {
      this.#publish(bytes, start, bodyStart, end);
    } else {
      const { packetFiltersMax } = this.#world;
      const asked = clientPacket(bytes, start, bodyStart, end, packetFiltersMax);
      if (typeof asked === "string") this.close(asked);
      else if (type <= PACKET.pubcomp) this.#acknowledged(type, bytes.readUInt16BE(bodyStart));
      else this.#controlPacket(type, bytes.subarray(start, end), asked);
    }
  }

  #controlPacket(type: number, packet: Buffer, asked: Asked | null): void {
    if (type === PACKET.pingreq) {
      this.outbox.raw(PINGRESP); // not aedes: a flood of them would cost it a hundred times as much
      return;
    }
    this.#hold(); // behind DISCONNECT nothing is looked at any more [MQTT-3.14.4-2]
    if (asked !== null) {
      if (type === PACKET.subscribe && repeatsItself(asked)) this.#asked = asked;
      const waitMs = this.#world.asked(this, asked.filters.length);
      if (waitMs > 0) this.#pause(waitMs);
    }
    this.#control?.feed(Buffer.from(packet));
  }

  /** A CONNECT that is none never reaches aedes; CONNACK says why where it has a code for it [MQTT-3.1.4-1, MQTT-3.2.2-5]. */
  #connect({ bytes, start, bodyStart, end }: FrameReader): void {
    const refusal = connectRefusal(bytes, bodyStart, end);
    if (refusal !== null) {
      if (refusal.returnCode !== null) this.outbox.raw(connack(refusal.returnCode));
      this.close(refusal.reason);
      return;
    }
    this.#hold();
    this.#control = this.#world.control(this);
    this.#control.feed(Buffer.from(bytes.subarray(start, end)));
  }

  /** The first four bytes that aedes says, in whatever pieces. */
  #connack(said: number[], bytes: Buffer): void {
    said.push(...bytes);
    if (said.length < 4) return;
    this.#connackBytes = null;
    if (said[3] === 0 && this.sessionPresent) said[2] = 1;
    this.outbox.raw(Buffer.from(said));
  }

  #hold(): void {
    this.#phase = "held";
    this.channel.pause();
  }

  #publish(bytes: Buffer, start: number, bodyStart: number, end: number): void {
    const topicEnd = publishTopicEnd(bytes, start, bodyStart, end);
    if (typeof topicEnd === "string") {
      this.close(topicEnd);
      return;
    }
    const route = this.#lastRoute.of(bytes, bodyStart + 2, topicEnd);
    if (route === null || route.refusal !== null) {
      this.close(route?.refusal ?? "topic is not well-formed UTF-8"); // [MQTT-3.3.2-1]
      return;
    }
    const frame = new PublishFrame(bytes, start, bodyStart + 2, topicEnd, end, route.topic);
    if (this.rate !== null || route.rates !== null) {
      if (!this.#isInTime(frame, route)) return;
    }
    if (!this.#lastRight.of(route, this.rights)) this.#deny(frame, route);
    else if (this.held.precedes(frame) || !this.#take(frame, route)) {
      this.held.push(frame);
      this.#world.holds(this, frame.end - frame.start);
    }
  }

  /** False when the store has no room for it now; QoS 0 is dropped then. */
  #take(frame: PublishFrame, route: Route<Session>): boolean {
    if (frame.qos === 2) return this.#takeOnce(frame, route);
    const token = frame.qos === 0 ? -1 : frame.packetId;
    return this.#world.admit(frame, route, this, token) === null || frame.qos === 0;
  }

  /** QoS 2: a packet identifier that is held already is not a new message [MQTT-4.3.3-2]. */
  #takeOnce(frame: PublishFrame, route: Route<Session>): boolean {
    const { session } = this;
    const { packetId } = frame;
    if (session === null) return true;
    const kept = session.received.get(packetId);
    if (kept === true) this.outbox.acknowledge(PACKET.pubrec << 4, packetId);
    if (kept !== undefined) return true;
    if (session.received.size >= this.#world.inboundInflightMax) {
      this.close("too many QoS 2 messages wait for PUBREL");
      return true;
    }
    if (this.#world.admit(frame, route, this, packetId) !== null) return false;
    session.received.came(packetId);
    if (session.persistent) this.#world.keepReceived(session, packetId);
    return true;
  }

  /** False when the message comes too soon, and is not taken: QoS 0 is dropped, others could not be refused otherwise. */
  #isInTime({ qos, start, end }: PublishFrame, { rates }: Route<Session>): boolean {
    const waitMs = paceOf(this.rate, rates, end - start, this.#world.nowMs());
    if (waitMs > 0) this.#pause(waitMs);
    else if (waitMs < 0 && qos === 0) this.#world.unexpected(this, "published too fast");
    else if (waitMs < 0) this.close("published too fast");
    return waitMs >= 0;
  }

  /** A message that is not authorised is acknowledged all the same, and goes nowhere [MQTT-3.3.5-2]. */
  #deny(frame: PublishFrame, { reserved }: Route<Session>): void {
    const reason = reserved ? "topic is reserved" : "not allowed to publish";
    this.#world.unexpected(this, reason);
    if (!reserved && this.#world.closesDenied) {
      this.close(reason);
      return;
    }
    if (frame.qos === 1) this.outbox.acknowledge(PACKET.puback << 4, frame.packetId);
    if (frame.qos === 2) this.outbox.acknowledge(PACKET.pubrec << 4, frame.packetId);
  }

  #acknowledged(type: number, packetId: number): void {
    const { session } = this;
    if (session === null) return;
    if (type === PACKET.pubrel) this.#released(session, packetId);
    else if (!session.acknowledged(type, packetId)) {
      this.#world.unexpected(this, "acknowledgement of nothing");
    }
  }

  /** PUBREL: PUBCOMP follows once the identifier is free for good, also when PUBREL was repeated meanwhile. */
  #released(session: Session, packetId: number): void {
    const complete = () => session.link?.outbox.acknowledge(PACKET.pubcomp << 4, packetId);
    const forget = () =>
      session.persistent ? this.#world.forgetReceived(session, packetId) : null;
    const freed = session.received.free(packetId, forget);
    if (freed === null) complete();
    else freed.then(complete, () => this.close("store failed"));
  }

  #resumeChannel(): void {
    if (!this.#paused && this.#phase !== "held") this.channel.resume();
  }

  #end(reason: string): void {
    if (this.#phase === "closed") return;
    this.#phase = "closed";
    this.#backlog = [];
    this.session?.detach(this);
    if (this.outbox.bytes > 0) this.outbox.flush();
    this.channel.end();
    this.#control?.destroy();
    this.#world.ended(this, reason);
  }
}
