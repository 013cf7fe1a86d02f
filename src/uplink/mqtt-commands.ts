import { type IPublishPacket, MqttClient, type Packet } from "mqtt";
import type { Clock } from "../base/clock.ts";
import { assert, FieldgateError } from "../base/errors.ts";
import type { DownConfig } from "../config/schema.ts";
import type { Arrival } from "./arrival.ts";
import type { CloudSubscription, CommandListener, CommandTerms } from "./command-cloud.ts";
import { Gate } from "./gate.ts";
import { type ConnectSetup, clientOptions, reasonError, rebuffOf } from "./mqtt-options.ts";
import { openSocket } from "./net-cloud-socket.ts";
import { CloudStream } from "./net-cloud-stream.ts";
import { PacketIds } from "./packet-ids.ts";
import { PacketWriter, publishSize, REMAINING_BYTES_MAX } from "./packet-writer.ts";
import type { PublishHead } from "./passing-over.ts";
import { property } from "./properties.ts";
import type { Rebuff } from "./protocol.ts";

export interface CommandClientSetup extends ConnectSetup {
  readonly down: DownConfig;
  readonly clientId: string;
  readonly clock: Clock;
}

export interface CommandClientListener extends Omit<CommandListener, "closed"> {
  closed(error: FieldgateError, rebuff: Rebuff): void;
}

/**
 * The connection that commands come by, by the package `mqtt`, with a session that the cloud keeps.
 *
 * The package acknowledges a message as soon as its one handler is done, and takes no other packet meanwhile: one command
 * a commit, and behind a full disk nothing at all. So PUBLISH and PUBREL are taken off it as they are parsed (`packetreceive`
 * comes before it looks at a packet), and acknowledged by ourselves when the disk has them. A test holds it to that.
 *
 * What it gathers is bounded before it sees it (net-cloud-stream.ts), and while the cloud does not read what is said to it,
 * nothing more is read from it.
 */
export class MqttCommandClient {
  readonly #setup: CommandClientSetup;
  readonly #listener: CommandClientListener;
  readonly #ids = new PacketIds();
  readonly #writer: PacketWriter;
  readonly #gone = new Gate();
  #client: MqttClient | null = null;
  #stream: CloudStream | null = null;
  #state: "connecting" | "accepted" | "open" | "over" = "connecting";
  /** What came with the CONNACK, before anybody could be told of it. */
  #early: (() => void)[] = [];
  #isHeld = false;
  #cause: Error | null = null;
  #packetBytesMax = REMAINING_BYTES_MAX;

  constructor(setup: CommandClientSetup, listener: CommandClientListener) {
    this.#setup = setup;
    this.#listener = listener;
    this.#writer = new PacketWriter((bytes, written) => this.#write(bytes, written));
  }

  /** @throws what OpenSSL says of a certificate or key that it cannot read */
  connect(): void {
    const { clientId, down, protocol, address, credentials } = this.#setup;
    const stream = new CloudStream((onread) => openSocket(address, credentials, onread), {
      bytesMax: packetBytesMax(down),
      key: "uplink.down.messageBytesMax allows",
      takes: () => false,
      // Under MQTT 5 the cloud was told what is too long; under 3.1.1 it would send the same command for ever.
      ...(protocol === "5" ? {} : { passesOver: (head) => this.#passedOver(head) }),
    });
    stream.on("error", (error) => {
      this.#cause ??= error;
    });
    this.#stream = stream;
    const client = new MqttClient(() => stream, {
      ...clientOptions(this.#setup, this.#ids),
      clientId,
      clean: false,
      ...(protocol === "5" ? { properties: sessionProperties(down) } : {}),
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

  /** Resolves with a reason code for each; rejects when the connection ended before. */
  subscribe(subscriptions: readonly CloudSubscription[]): Promise<readonly number[]> {
    const client = this.#client;
    assert(client !== null, "subscribed before it was connected");
    const wanted = Object.fromEntries(
      // Without what was retained before the subscription, and nothing of our own. As published: whoever wants a
      // command retained here says so.
      subscriptions.map(({ filter, qos }) => [filter, { qos, nl: true, rap: true, rh: 1 }]),
    );
    return new Promise((resolve, reject) => {
      client.subscribe(wanted, (error, _, packet) => {
        if (packet !== undefined) resolve(packet.granted.map(Number));
        else reject(error ?? new Error("no SUBACK"));
      });
    });
  }

  async unsubscribe(filters: readonly string[]): Promise<void> {
    await this.#client?.unsubscribeAsync([...filters]);
  }

  acknowledge(type: "puback" | "pubrec" | "pubcomp", packetId: number, reasonCode: number): void {
    this.#writer.acknowledge(type, packetId, reasonCode);
  }

  answer(topic: string, payload: Uint8Array, correlation: Uint8Array | null): boolean {
    const properties = this.#setup.protocol === "5" ? answerProperties(correlation) : null;
    const size = publishSize(topic, properties, payload.length);
    if (size.bytes > this.#packetBytesMax) return false;
    const packetId = this.#ids.take(ANSWER);
    assert(packetId !== null, "more answers in flight than there are packet identifiers");
    this.#writer.publish({ topic, packetId, qos: 1, retain: false, properties, payload, size });
    return true;
  }

  flush(): void {
    if (this.#state === "open") this.#writer.flush();
  }

  hold(isHeld: boolean): void {
    this.#isHeld = isHeld;
    this.#flow();
  }

  /** Resolves when the socket is gone. Politely: with a DISCONNECT; the session stays. */
  async close(how: "politely" | "at once"): Promise<void> {
    const polite = how === "politely" && this.#state === "open";
    this.#state = "over";
    const client = this.#client;
    if (client === null) return;
    if (polite) {
      const late = new AbortController();
      client.end();
      const timeout = this.#setup.clock.sleep(DISCONNECT_MS_MAX, late.signal);
      await Promise.race([this.#gone.passed, timeout.catch(() => undefined)]);
      late.abort();
    }
    this.#stream?.destroy();
    await this.#gone.passed;
  }

  #passedOver(head: PublishHead): void {
    const { topic, qos, retain, duplicate, packetId } = head;
    const arrival = { topic, qos, retain, duplicate, packetId, payload: null, properties: null };
    if (this.#state !== "over") this.#tell(() => this.#listener.arrived(arrival));
  }

  #received(packet: Packet): void {
    const arrival = packet.cmd === "publish" ? arrivalOf(packet) : null;
    const released = packet.cmd === "pubrel" ? (packet.messageId ?? 0) : null;
    // Also while we say goodbye: the client would acknowledge what nobody takes any more.
    if (arrival !== null || released !== null) takeOff(packet);
    if (this.#state === "over") return;
    if (arrival !== null) this.#tell(() => this.#listener.arrived(arrival));
    if (released !== null) this.#tell(() => this.#listener.released(released));
    switch (packet.cmd) {
      case "connack":
        this.#accepted(packet);
        break;
      case "puback":
        this.#answered(packet.messageId ?? 0, packet.reasonCode ?? 0);
        break;
      case "disconnect":
        this.#cause = reasonError("the cloud ended the connection", packet.reasonCode ?? 0);
        break;
      default:
        break;
    }
  }

  #accepted(packet: Connack): void {
    const code = packet.reasonCode ?? packet.returnCode ?? 0;
    if (code !== 0 || this.#state !== "connecting") return;
    const granted = packet.properties ?? {};
    this.#packetBytesMax = granted.maximumPacketSize ?? REMAINING_BYTES_MAX;
    this.#state = "accepted";
    const terms: CommandTerms = {
      protocol: this.#setup.protocol,
      sessionPresent: packet.sessionPresent,
      receiveMax: Math.min(granted.receiveMaximum ?? ANSWERS_MAX, ANSWERS_MAX),
    };
    // The client counts itself connected, and takes subscriptions, only once it has dealt with this packet.
    this.#setup.clock.afterTurn(() => {
      if (this.#state !== "accepted") return;
      this.#state = "open";
      this.#listener.opened(terms);
      for (const tell of this.#early.splice(0)) tell();
    });
  }

  #tell(tell: () => void): void {
    if (this.#state === "open") tell();
    else if (this.#state === "accepted") this.#early.push(tell);
    else this.#fail(tooEarly());
  }

  #answered(packetId: number, reasonCode: number): void {
    if (this.#ids.tokenOf(packetId) !== ANSWER) return;
    this.#ids.release(packetId);
    this.#listener.answered(reasonCode);
  }

  #write(bytes: Uint8Array, written: () => void): void {
    const stream = this.#stream;
    if (stream === null || stream.socket.destroyed) return;
    const { socket } = stream;
    socket.write(bytes, () => {
      written();
      this.#flow();
    });
    this.#flow();
  }

  #flow(): void {
    const stream = this.#stream;
    if (stream === null) return;
    stream.isHeld = this.#isHeld || stream.socket.writableLength > UNREAD_BYTES_MAX;
  }

  #fail(error: FieldgateError): void {
    if (this.#state === "over") return;
    const rebuff = this.#state === "connecting" ? rebuffOf(this.#cause) : "unrelated";
    this.#state = "over";
    this.#stream?.destroy();
    this.#listener.closed(error, rebuff);
  }

  #closeError(): FieldgateError {
    const cause = this.#cause === null ? {} : { cause: this.#cause };
    return this.#state === "connecting"
      ? new FieldgateError("ERR_UPLINK_REFUSED", "the cloud did not accept the connection", cause)
      : new FieldgateError("ERR_UPLINK_CLOSED", "the connection to the cloud was lost", cause);
  }
}

type Connack = Extract<Packet, { cmd: "connack" }>;

const ANSWER = 1;
/** Leaves packet identifiers to the client's own packets. */
const ANSWERS_MAX = 1024;
/** How long a polite end may take, in ms. */
const DISCONNECT_MS_MAX = 500;
/** Topic and properties of a command, beside its payload. */
const HEAD_BYTES_MAX = 65_536;
/** With more than this said and not read by the cloud, nothing more is read from it. */
const UNREAD_BYTES_MAX = 65_536;

/** Payloads may be a little too long: then the cloud is told. */
function packetBytesMax({ messageBytesMax }: DownConfig): number {
  return Math.min(2 * messageBytesMax + HEAD_BYTES_MAX, REMAINING_BYTES_MAX);
}

function tooEarly(): FieldgateError {
  const message = "the cloud sent a command before it accepted the connection";
  return new FieldgateError("ERR_UPLINK_PROTOCOL", message);
}

function sessionProperties(down: DownConfig) {
  return {
    sessionExpiryInterval: down.sessionExpirySeconds,
    receiveMaximum: down.inflightMax,
    maximumPacketSize: packetBytesMax(down),
  };
}

function answerProperties(correlation: Uint8Array | null): readonly Uint8Array[] {
  const contentType = property(0x03, "application/json");
  return correlation === null ? [contentType] : [contentType, property(0x09, correlation)];
}

/** The client passes over packets that it does not know. */
function takeOff(packet: Packet): void {
  Object.assign(packet, { cmd: "taken" });
}

function arrivalOf(packet: IPublishPacket): Arrival {
  const { topic, payload, qos, retain, dup, messageId = 0, properties = null } = packet;
  const bytes = typeof payload === "string" ? Buffer.from(payload) : payload;
  return { topic, payload: bytes, qos, retain, duplicate: dup, packetId: messageId, properties };
}
