import { once } from "node:events";
import { createServer, type Server, type Socket } from "node:net";
import {
  generate,
  type IConnectPacket,
  type IPublishPacket,
  type Packet,
  parser,
} from "mqtt-packet";

/** One client's connection to a ScriptedBroker. */
export interface Visit {
  readonly connect: IConnectPacket;
  readonly version: number;
  send(packet: Packet): void;
  /** Writes bytes that need not be a packet. */
  write(bytes: Uint8Array): void;
  hangUp(): void;
  /** Reads nothing any more. */
  pause(): void;
}

export interface Script {
  /** Answers a CONNECT; by default accepts it. */
  readonly connected?: (visit: Visit) => void;
  /** Answers a PUBLISH; by default acknowledges it. */
  readonly published?: (visit: Visit, packet: IPublishPacket) => void;
  /** Everything else that comes. */
  readonly received?: (visit: Visit, packet: Packet) => void;
}

/** A broker that says exactly what a test wants it to say, also what no real one would. */
export class ScriptedBroker {
  readonly visits: Visit[] = [];
  readonly published: IPublishPacket[] = [];
  script: Script;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor(script: Script) {
    this.script = script;
    this.#server = createServer((socket) => this.#accept(socket));
  }

  static async start(script: Script = {}): Promise<ScriptedBroker> {
    const broker = new ScriptedBroker(script);
    broker.#server.listen(0, "127.0.0.1");
    await once(broker.#server, "listening");
    return broker;
  }

  get endpoint(): string {
    const address = this.#server.address();
    if (address === null || typeof address === "string") throw new Error("not listening");
    return `mqtt://127.0.0.1:${address.port}`;
  }

  /** Protocol versions of the CONNECTs, in order. */
  get versions(): number[] {
    return this.visits.map((visit) => visit.version);
  }

  hangUpOnAll(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  async stop(): Promise<void> {
    this.hangUpOnAll();
    this.#server.close();
    await once(this.#server, "close");
  }

  #accept(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on("error", () => undefined);
    socket.on("close", () => this.#sockets.delete(socket));
    const reader = parser();
    let visit: Visit | null = null;
    reader.on("packet", (packet) => {
      visit ??= this.#visitOf(socket, packet as IConnectPacket);
      this.#answer(visit, packet);
    });
    reader.on("error", () => socket.destroy());
    socket.on("data", (chunk) => reader.parse(chunk));
  }

  #visitOf(socket: Socket, connect: IConnectPacket): Visit {
    const version = connect.protocolVersion ?? 4;
    const visit: Visit = {
      connect,
      version,
      send: (packet) => socket.write(generate(packet, { protocolVersion: version })),
      write: (bytes) => socket.write(bytes),
      hangUp: () => socket.end(),
      pause: () => socket.pause(),
    };
    this.visits.push(visit);
    return visit;
  }

  #answer(visit: Visit, packet: Packet): void {
    if (packet.cmd === "connect") (this.script.connected ?? accept)(visit);
    else if (packet.cmd === "publish") {
      this.published.push(packet);
      (this.script.published ?? acknowledge)(visit, packet);
    } else this.script.received?.(visit, packet);
  }
}

/** Accepts a connection, under MQTT 5 with these properties. */
export function accept(visit: Visit, properties: Record<string, unknown> = {}): void {
  visit.send({
    cmd: "connack",
    sessionPresent: false,
    ...(visit.version === 5 ? { reasonCode: 0, properties } : { returnCode: 0 }),
  });
}

/** PUBACK, under MQTT 5 with this reason code. */
export function acknowledge(visit: Visit, packet: IPublishPacket, reasonCode = 0): void {
  const messageId = packet.messageId ?? 0;
  visit.send({ cmd: "puback", messageId, ...(visit.version === 5 ? { reasonCode } : {}) });
}
