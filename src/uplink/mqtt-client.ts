import { Socket } from "node:net";
import { connect, type MqttClient, type Packet } from "mqtt";
import type { Clock } from "../base/clock.ts";
import { assert, FieldgateError } from "../base/errors.ts";
import { ageMs } from "../base/timepiece.ts";
import type { UplinkConfig } from "../config/schema.ts";
import type { CloudListener, CloudTerms, Destination, DropReason } from "./cloud.ts";
import type { Address } from "./endpoints.ts";
import type { Credentials } from "./file-credentials.ts";
import { Gate } from "./gate.ts";
import { IdentityProperties } from "./identity-properties.ts";
import { CLIENTS_OWN, clientOptions, reasonError, rebuffOf } from "./mqtt-options.ts";
import { PacketIds } from "./packet-ids.ts";
import { PacketWriter, publishSize, REMAINING_BYTES_MAX } from "./packet-writer.ts";
import { forwardedProperties } from "./properties.ts";
import type { Protocol, Rebuff } from "./protocol.ts";
import { verdictOf } from "./reasons.ts";
import type { GatewayIdentity } from "./rules.ts";
import type { SourceEntry } from "./source.ts";

export interface MqttClientSetup {
  readonly address: Address;
  readonly protocol: Protocol;
  readonly credentials: Credentials;
  readonly options: UplinkConfig;
  readonly clock: Clock;
  readonly identity: GatewayIdentity;
  readonly journal: { readonly id: string };
  /** Of the primary of the site; null, or left out, where there is none. */
  readonly epoch?: () => number | null;
}

export interface MqttClientListener extends Omit<CloudListener, "closed"> {
  /** `rebuff`: whether the server turned away the version of the protocol rather than us. */
  closed(error: FieldgateError, rebuff: Rebuff): void;
}

/**
 * One MQTT connection to the cloud, by the package `mqtt`: it owns the socket, CONNECT, keep-alive and DISCONNECT.
 *
 * PUBLISH packets are written to its stream by ourselves, and acknowledgements are taken from its parsed packets. Its own
 * `publish` clones, stores and writes every message in a handful of pieces, and would keep a second memory of what is in
 * flight beside the journal. Both ends that we use, `stream` and the event `packetreceive`, are part of its typed
 * interface; it ignores acknowledgements of packets that it did not send. Identifiers come from one place for both.
 */
export class MqttCloudClient {
  readonly #setup: MqttClientSetup;
  readonly #listener: MqttClientListener;
  readonly #ids = new PacketIds();
  readonly #writer: PacketWriter;
  readonly #properties: IdentityProperties;
  readonly #gone = new Gate();
  #client: MqttClient | null = null;
  #state: "connecting" | "open" | "over" = "connecting";
  #cause: Error | null = null;
  #packetBytesMax = REMAINING_BYTES_MAX;
  #qosMax = 2;
  #mayRetain = true;
  #corked = false;

  constructor(setup: MqttClientSetup, listener: MqttClientListener) {
    this.#setup = setup;
    this.#listener = listener;
    this.#writer = new PacketWriter((bytes) => this.#write(bytes));
    this.#properties = new IdentityProperties(
      setup.journal.id,
      setup.identity,
      setup.epoch?.() ?? null,
    );
  }

  connect(): void {
    const { options, identity } = this.#setup;
    const clientId = options.clientId ?? `${identity.site}-${identity.gateway}`;
    const client = connect({ ...clientOptions(this.#setup, this.#ids), clientId, clean: true });
    this.#client = client;
    // A turn's messages leave as one write already; waiting for its acknowledgement by TCP would idle up to 40 ms.
    if (client.stream instanceof Socket) client.stream.setNoDelay(true);
    client.on("packetreceive", (packet) => this.#received(packet));
    client.on("error", (error) => {
      this.#cause ??= error;
      if (this.#state === "connecting") client.stream.destroy();
    });
    client.on("close", () => {
      this.#gone.open();
      this.#fail(this.#closeError());
    });
  }

  send(token: number, entry: SourceEntry, to: Destination): number | DropReason {
    const { message } = entry;
    const { remoteTopic: topic, qos } = to;
    const properties = this.#propertiesOf(entry, to.expirySeconds);
    if (properties === "expired") return "expired";
    const size = publishSize(topic, properties, message.payload.length);
    if (size.bytes > this.#packetBytesMax) return "packet-too-large";
    const packetId = this.#ids.take(token);
    assert(packetId !== null, "more messages in flight than there are packet identifiers");
    this.#writer.publish({
      topic,
      packetId,
      qos: qos > this.#qosMax ? 1 : qos,
      retain: message.retain && this.#mayRetain,
      properties,
      payload: message.payload,
      size,
    });
    return size.bytes;
  }

  flush(): void {
    this.#writer.flush();
    if (!this.#corked) return;
    this.#corked = false;
    this.#client?.stream.uncork();
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
    client.stream.destroy();
    await this.#gone.passed;
  }

  /** The age counts under 3.1.1 too, which cannot tell the cloud of it. */
  #propertiesOf(
    entry: SourceEntry,
    expirySeconds: number | null,
  ): readonly Uint8Array[] | "expired" | null {
    const given = entry.message.properties ?? NO_PROPERTIES;
    const isPlain = given.length === 0 && expirySeconds === null;
    const forwarded = isPlain
      ? NO_PROPERTIES
      : forwardedProperties(given, ageMs(entry, this.#setup.clock), expirySeconds);
    if (forwarded === "expired") return "expired";
    if (this.#setup.protocol === "3.1.1") return null;
    const own = this.#properties.of(entry);
    return isPlain ? [own] : [forwarded, own];
  }

  #received(packet: Packet): void {
    if (this.#state === "over") return;
    switch (packet.cmd) {
      case "connack":
        this.#accepted(packet.reasonCode ?? packet.returnCode ?? 0, packet.properties ?? {});
        break;
      case "puback":
      case "pubcomp":
        this.#settled(packet.messageId ?? 0, packet.reasonCode ?? 0);
        break;
      case "pubrec":
        this.#halfway(packet.messageId ?? 0, packet.reasonCode ?? 0);
        break;
      case "disconnect":
        this.#cause = reasonError("the cloud ended the connection", packet.reasonCode ?? 0);
        break;
      default:
        break;
    }
  }

  #accepted(code: number, granted: Granted): void {
    if (code !== 0 || this.#state !== "connecting") return;
    if (granted.maximumQoS === 0) {
      const error = new FieldgateError("ERR_UPLINK_REFUSED", "the cloud takes QoS 0 only");
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

  #settled(packetId: number, code: number): void {
    const token = this.#ids.tokenOf(packetId);
    if (token === null || token === CLIENTS_OWN) return;
    const verdict = code === PACKET_ID_NOT_FOUND ? "taken" : verdictOf(code);
    if (verdict === "try again") {
      this.#fail(reasonError("the cloud did not take a message", code));
      return;
    }
    this.#ids.release(packetId);
    if (verdict === "taken") this.#listener.acknowledged(token);
    else this.#listener.refused(token, verdict);
  }

  /** PUBREC: the cloud owns the message now; PUBREL lets it forget the identifier [MQTT-4.3.3-1]. */
  #halfway(packetId: number, code: number): void {
    if (verdictOf(code) !== "taken") {
      this.#settled(packetId, code);
      return;
    }
    this.#writer.pubrel(packetId);
    this.#setup.clock.afterTurn(() => {
      if (this.#state === "open") this.flush();
    });
  }

  #write(bytes: Uint8Array): void {
    const stream = this.#client?.stream;
    if (stream === undefined || stream.destroyed) return;
    if (!this.#corked) {
      this.#corked = true;
      stream.cork();
    }
    stream.write(bytes);
  }

  #fail(error: FieldgateError): void {
    if (this.#state === "over") return;
    const rebuff = this.#state === "open" ? "unrelated" : rebuffOf(this.#cause);
    this.#state = "over";
    this.#client?.stream.destroy();
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

type Granted = NonNullable<Extract<Packet, { cmd: "connack" }>["properties"]>;

const NO_PROPERTIES = new Uint8Array(0);
/** Leaves some of the 65,535 packet identifiers to the client's own packets. */
const INFLIGHT_MAX = 65_000;
const PACKET_ID_NOT_FOUND = 0x92;
/** How long a polite end may take, in ms. */
const DISCONNECT_MS_MAX = 500;
