import { once } from "node:events";
import { createServer, type Server, type Socket } from "node:net";
import packet, { type IPublishPacket } from "mqtt-packet";
import type { CloudArrival } from "./books.ts";
import { identify } from "./message.ts";
import { Wakeup } from "./wakeup.ts";

/** The far side of the uplink: a listener that speaks MQTT 5, notes what came, and acknowledges it. It can be away. */
export class CloudEnd {
  /** Where it notes what comes. */
  arrivals: CloudArrival[] = [];
  position: () => number = () => 0;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #change = new Wakeup();
  #away = false;

  private constructor() {
    this.#server = createServer((socket) => this.#accept(socket));
  }

  static async start(): Promise<CloudEnd> {
    const cloud = new CloudEnd();
    cloud.#server.listen(0, "127.0.0.1");
    await once(cloud.#server, "listening");
    return cloud;
  }

  get endpoint(): string {
    const address = this.#server.address();
    if (address === null || typeof address === "string") throw new Error("not listening");
    return `mqtt://127.0.0.1:${address.port}`;
  }

  set away(away: boolean) {
    this.#away = away;
    if (away) for (const socket of this.#sockets) socket.destroy();
  }

  /** Resolves when that message has come. */
  async arrival(key: string): Promise<void> {
    for (let looked = 0; ; ) {
      while (looked < this.arrivals.length) if (this.arrivals[looked++]?.key === key) return;
      await this.#change.next();
    }
  }

  async stop(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
    await once(this.#server, "close");
  }

  #accept(socket: Socket): void {
    socket.on("error", () => {});
    if (this.#away) {
      socket.destroy();
      return;
    }
    this.#sockets.add(socket);
    socket.on("close", () => this.#sockets.delete(socket));
    const options = { protocolVersion: 5 };
    const parser = packet.parser(options);
    let at = 0;
    parser.on("packet", (came) => {
      if (came.cmd === "connect") {
        socket.write(
          packet.generate({ cmd: "connack", reasonCode: 0, sessionPresent: false }, options),
        );
      } else if (came.cmd === "publish") {
        this.#note(came, at);
        const messageId = came.messageId ?? 0;
        socket.write(packet.generate({ cmd: "puback", messageId, reasonCode: 0 }, options));
      } else if (came.cmd === "pingreq") {
        socket.write(packet.generate({ cmd: "pingresp" }, options));
      }
    });
    socket.on("data", (chunk) => {
      at = this.position();
      parser.parse(chunk);
    });
  }

  #note({ topic, payload, properties }: IPublishPacket, at: number): void {
    const user = properties?.userProperties ?? {};
    const identity = `${user["fg-journal"]}/${user["fg-seq"]}`;
    this.arrivals.push({ ...identify(payload.toString()), topic, identity, at });
    this.#change.wake();
  }
}
