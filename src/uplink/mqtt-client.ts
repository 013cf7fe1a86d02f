import { MqttClient, type Packet } from "mqtt";
import type { Clock } from "../base/clock.ts";
import { assert, FieldgateError } from "../base/errors.ts";
import { ageMs } from "../base/timepiece.ts";
import type { FrameReader } from "../mqtt/frame.ts";
import { PACKET } from "../mqtt/publish-frame.ts";
import {
  type AcknowledgementType,
  acknowledgementType,
  packetIdOf,
  reasonCodeOf,
} from "./acknowledgement.ts";
import type { CloudListener, CloudTerms, Destination, DropReason } from "./cloud.ts";
import { Gate } from "./gate.ts";
import { Gathering } from "./gathering.ts";
import { IdentityEnvelope } from "./identity-envelope.ts";
import { IdentityProperties } from "./identity-properties.ts";
import {
  CLIENTS_OWN,
  type ConnectSetup,
  clientOptions,
  reasonError,
  rebuffOf,
} from "./mqtt-options.ts";
import { openSocket } from "./net-cloud-socket.ts";
import { CloudStream } from "./net-cloud-stream.ts";
import { PacketIds } from "./packet-ids.ts";
import { PacketWriter, publishSize, REMAINING_BYTES_MAX } from "./packet-writer.ts";
import { forwardedProperties } from "./properties.ts";
import type { Rebuff } from "./protocol.ts";
import { verdictOf } from "./reasons.ts";
import type { GatewayIdentity } from "./rules.ts";
import type { SourceEntry } from "./source.ts";

export interface MqttClientSetup extends ConnectSetup {
  readonly clock: Clock;
  readonly identity: GatewayIdentity;
  readonly journal: { readonly id: string };
  /** Of the primary of the site; null, or left out, where there is none. Read with the first message of a connection. */
  readonly epoch?: () => number | null;
}

export interface MqttClientListener extends Omit<CloudListener, "closed"> {
  /** `rebuff`: whether the server turned away the version of the protocol rather than us. */
  closed(error: FieldgateError, rebuff: Rebuff): void;
}

/**
 * One MQTT connection to the cloud, by the package `mqtt`: it owns CONNECT, keep-alive and DISCONNECT.
 *
 * PUBLISH packets are written to the socket by ourselves, and acknowledgements taken from it before the package sees them
 * (net-cloud-stream.ts). Its own `publish` clones, stores and writes every message in a handful of pieces, and would keep a
 * second memory of what is in flight beside the journal. Packet identifiers come from one place for both.
 */
export class MqttCloudClient {
  readonly #setup: MqttClientSetup;
  readonly #listener: MqttClientListener;
  readonly #ids = new PacketIds();
  readonly #writer: PacketWriter;
  #identity: Identity | null = null;
  readonly #gone = new Gate();
  /** QoS 2: what the cloud has taken over and still knows. */
  readonly #released = new Set<number>();
  #client: MqttClient | null = null;
  #stream: CloudStream | null = null;
  #state: "connecting" | "open" | "over" = "connecting";
  #cause: Error | null = null;
  #packetBytesMax = REMAINING_BYTES_MAX;
  #qosMax = 2;
  #mayRetain = true;
  #corked = false;
  readonly #gathering = new Gathering();
  /** When the last ones were sent. */
  #inflight = 0;

  constructor(setup: MqttClientSetup, listener: MqttClientListener) {
    this.#setup = setup;
    this.#listener = listener;
    this.#writer = new PacketWriter((bytes, written) => this.#write(bytes, written));
  }

  /** @throws what OpenSSL says of a certificate or key that it cannot read */
  connect(): void {
    const { options, identity, address, credentials } = this.#setup;
    const clientId = options.clientId ?? `${identity.site}-${identity.gateway}`;
    const { answerBytesMax } = options;
    const stream = new CloudStream((onread) => openSocket(address, credentials, onread), {
      bytesMax: answerBytesMax,
      key: "uplink.answerBytesMax",
      takes: (frame) => this.#takes(frame),
      rests: () => this.#rests(),
    });
    stream.on("error", (error) => {
      this.#cause ??= error;
    });
    this.#stream = stream;
    const client = new MqttClient(() => stream, {
      ...clientOptions(this.#setup, this.#ids),
      clientId,
      clean: true,
      ...(this.#setup.protocol === "5"
        ? { properties: { maximumPacketSize: answerBytesMax } }
        : {}),
    });
    this.#client = client;
    client.on("packetreceive", (packet) => this.#received(packet));
    client.on("error", (error) => {
      this.#cause ??= error;
      stream.destroy();
    });
    client.on("close", () => {
      this.#gone.open();
      this.#fail(this.#closeError());
    });
  }

  send(token: number, entry: SourceEntry, to: Destination): number | DropReason {
    const { message } = entry;
    const { remoteTopic: topic, qos } = to;
    this.#identity ??= identityOf(this.#setup);
    const { own, envelope } = this.#identity;
    const properties = this.#propertiesOf(entry, to.expirySeconds, own);
    if (properties === "expired") return "expired";
    const payload = envelope?.wrap(entry) ?? message.payload;
    const size = publishSize(topic, properties, payload.length);
    if (size.bytes > this.#packetBytesMax) return "packet-too-large";
    const packetId = this.#ids.take(token);
    assert(packetId !== null, "more messages in flight than there are packet identifiers");
    this.#writer.publish({
      topic,
      packetId,
      qos: qos > this.#qosMax ? 1 : qos,
      retain: message.retain && this.#mayRetain,
      properties,
      payload,
      size,
    });
    return size.bytes;
  }

  flush(): void {
    this.#writer.flush();
    this.#inflight = this.#ids.used;
    if (!this.#corked) return;
    this.#corked = false;
    this.#stream?.socket.uncork();
  }

  prompt(): void {
    if (this.#state === "open") this.#client?.sendPing();
  }

  /** Resolves when the socket is gone. Politely: with a DISCONNECT, if the other side takes it in time. */
  async close(how: "politely" | "at once"): Promise<void> {
    const polite = how === "politely" && this.#state === "open";
    this.#state = "over";
    const client = this.#client;
    if (client === null) return;
    if (polite) {
      const late = new AbortController();
      client.end();
      await Promise.race([this.#gone.passed, this.#late(late.signal)]);
      late.abort();
    }
    this.#stream?.destroy();
    await this.#gone.passed;
  }

  /** The age counts under 3.1.1 too, which cannot tell the cloud of it. */
  #propertiesOf(
    entry: SourceEntry,
    expirySeconds: number | null,
    identity: IdentityProperties,
  ): readonly Uint8Array[] | "expired" | null {
    const given = entry.message.properties ?? NO_PROPERTIES;
    const isPlain = given.length === 0 && expirySeconds === null;
    const forwarded = isPlain
      ? NO_PROPERTIES
      : forwardedProperties(given, ageMs(entry, this.#setup.clock), expirySeconds);
    if (forwarded === "expired") return "expired";
    if (this.#setup.protocol === "3.1.1") return null;
    const own = identity.of(entry);
    return isPlain ? [own] : [forwarded, own];
  }

  /** Acknowledgements; and messages, which are thrown away, for nothing is subscribed here. */
  #takes(frame: FrameReader): boolean {
    const header = frame.bytes[frame.start] as number;
    const type = acknowledgementType(header);
    if (type !== null) this.#answered(type, packetIdOf(frame), reasonCodeOf(frame));
    else if (header >> 4 === PACKET.publish || header >> 4 === PACKET.pubrel) {
      this.#listener.unexpected();
    } else return false;
    return true;
  }

  #rests(): Promise<void> | null {
    const { clock } = this.#setup;
    const restMs = this.#gathering.restMs(clock.monotonicMs(), this.#inflight);
    return restMs === 0 ? null : clock.sleep(restMs);
  }

  #received(packet: Packet): void {
    if (this.#state === "over") return;
    if (packet.cmd === "connack") this.#accepted(packet);
    if (packet.cmd === "disconnect") {
      const { serverReference } = packet.properties ?? {};
      const reasonCode = packet.reasonCode ?? 0;
      this.#fail(
        new FieldgateError("ERR_UPLINK_CLOSED", "the cloud ended the connection", {
          details: { reasonCode, ...(serverReference === undefined ? {} : { serverReference }) },
        }),
      );
    }
  }

  #accepted(packet: Connack): void {
    if ((packet.reasonCode ?? packet.returnCode ?? 0) !== 0 || this.#state !== "connecting") return;
    const granted = packet.properties ?? {};
    const why = unacceptable(packet);
    if (why !== null) {
      const error = new FieldgateError("ERR_UPLINK_REFUSED", why);
      this.#cause = error;
      this.#fail(error);
      return;
    }
    this.#qosMax = granted.maximumQoS ?? 2;
    this.#mayRetain = granted.retainAvailable ?? true;
    this.#packetBytesMax = granted.maximumPacketSize ?? REMAINING_BYTES_MAX;
    this.#state = "open";
    const { protocol } = this.#setup;
    const receiveMax = Math.min(granted.receiveMaximum ?? INFLIGHT_MAX, INFLIGHT_MAX);
    const terms: CloudTerms = { protocol, receiveMax };
    // The client counts itself connected, and may be ended politely, only once it has dealt with this packet.
    this.#setup.clock.afterTurn(() => {
      if (this.#state === "open") this.#listener.opened(terms);
    });
  }

  #answered(type: AcknowledgementType, packetId: number, code: number): void {
    if (this.#state !== "open") return;
    const token = this.#ids.tokenOf(packetId);
    const isKnown = token !== null && token !== CLIENTS_OWN;
    const isInTurn = (type === "pubcomp") === this.#released.has(packetId);
    if (!isKnown || (type !== "puback" && !isInTurn)) {
      this.#listener.unexpected();
      return;
    }
    const verdict = type === "pubcomp" && code === PACKET_ID_NOT_FOUND ? "taken" : verdictOf(code);
    if (verdict === "try again") {
      this.#fail(reasonError("the cloud did not take a message", code));
    } else if (verdict === "taken" && type === "pubrec") {
      this.#release(packetId);
    } else {
      this.#ids.release(packetId);
      this.#released.delete(packetId);
      this.#gathering.acknowledged();
      if (verdict === "taken") this.#listener.acknowledged(token);
      else this.#listener.refused(token, verdict);
    }
  }

  /** After PUBREC: the cloud owns the message now; PUBREL lets it forget the identifier [MQTT-4.3.3-1]. */
  #release(packetId: number): void {
    this.#released.add(packetId);
    this.#writer.pubrel(packetId);
    this.#setup.clock.afterTurn(() => {
      if (this.#state === "open") this.flush();
    });
  }

  #write(bytes: Uint8Array, written: () => void): void {
    const socket = this.#stream?.socket;
    if (socket === undefined || socket.destroyed) return;
    if (!this.#corked) {
      this.#corked = true;
      socket.cork();
    }
    socket.write(bytes, written);
  }

  #fail(error: FieldgateError): void {
    if (this.#state === "over") return;
    const rebuff = this.#state === "open" ? "unrelated" : rebuffOf(this.#cause);
    this.#state = "over";
    this.#stream?.destroy();
    this.#listener.closed(error, rebuff);
  }

  #closeError(): FieldgateError {
    const cause = this.#cause === null ? {} : { cause: this.#cause };
    if (this.#state === "open") {
      return new FieldgateError("ERR_UPLINK_CLOSED", "the connection to the cloud was lost", cause);
    }
    return new FieldgateError(
      "ERR_UPLINK_REFUSED",
      "the cloud did not accept the connection",
      cause,
    );
  }

  #late(signal: AbortSignal): Promise<void> {
    return this.#setup.clock.sleep(DISCONNECT_MS_MAX, signal).catch(() => undefined);
  }
}

/** What goes with every message of a connection. */
interface Identity {
  readonly own: IdentityProperties;
  /** Null where the user properties say it, or nothing shall. */
  readonly envelope: IdentityEnvelope | null;
}

function identityOf({ journal, identity, protocol, options, epoch }: MqttClientSetup): Identity {
  const now = epoch?.() ?? null;
  const isWrapped = protocol === "3.1.1" && options.envelope === "header";
  return {
    own: new IdentityProperties(journal.id, identity, now),
    envelope: isWrapped ? new IdentityEnvelope(journal.id, identity, now) : null,
  };
}

type Connack = Extract<Packet, { cmd: "connack" }>;

/** Why a connection that the cloud accepts is of no use, or null. */
function unacceptable({ sessionPresent, properties: granted = {} }: Connack): string | null {
  if (granted.maximumQoS === 0) return "the cloud takes QoS 0 only";
  // Identifiers of QoS 2 that it thinks it knows would make it throw new messages away [MQTT-3.2.2-4].
  if (sessionPresent) return "the cloud kept a session, although a clean one was asked for";
  // Neither may be 0 (sections 3.2.2.3.3 and 3.2.2.3.6): connected, and nothing could be sent.
  if (granted.receiveMaximum === 0) return "the cloud takes no message: its Receive Maximum is 0";
  if (granted.maximumPacketSize === 0)
    return "the cloud takes no packet: its Maximum Packet Size is 0";
  return null;
}

const NO_PROPERTIES = new Uint8Array(0);
/** Leaves some of the 65,535 packet identifiers to the client's own packets. */
const INFLIGHT_MAX = 65_000;
const PACKET_ID_NOT_FOUND = 0x92;
/** How long a polite end may take, in ms. */
const DISCONNECT_MS_MAX = 500;
