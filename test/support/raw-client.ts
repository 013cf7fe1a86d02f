import { connect } from "node:net";
import type { Duplex } from "node:stream";
import packet, { type Packet } from "mqtt-packet";
import { within } from "./within.ts";

/** On a machine that has much else to do. */
const WAIT_MS_MAX = 30_000;

/** An MQTT client that does only what it is told, right or wrong, and remembers what came. */
export class RawClient {
  readonly received: Packet[] = [];
  closed = false;
  readonly #socket: Duplex;
  #read = 0;
  #wake: () => void = () => {};

  constructor(socket: Duplex) {
    this.#socket = socket;
    const parser = packet.parser();
    parser.on("packet", (came) => {
      this.received.push(came);
      this.#wake();
    });
    this.closed = socket.destroyed;
    socket.on("data", (chunk) => parser.parse(chunk));
    socket.on("error", () => {});
    socket.on("close", () => {
      this.closed = true;
      this.#wake();
    });
  }

  static async open(port: number): Promise<RawClient> {
    const socket = connect({ port, host: "127.0.0.1", noDelay: true });
    const client = new RawClient(socket);
    await within(
      WAIT_MS_MAX,
      "no TCP connection",
      new Promise((done) => socket.once("connect", done)),
    );
    return client;
  }

  /** Connected, with CONNACK read. @param to a port of loopback, or whatever carries the bytes */
  static async connected(
    to: number | Duplex,
    options: Partial<Extract<Packet, { cmd: "connect" }>> = {},
  ): Promise<RawClient> {
    const client = typeof to === "number" ? await RawClient.open(to) : new RawClient(to);
    client.send({ cmd: "connect", clientId: "raw", clean: true, keepalive: 0, ...options });
    await client.next("connack");
    return client;
  }

  send(...packets: (Packet | Buffer | readonly number[])[]): void {
    const bytes = packets.map((each) =>
      "cmd" in each ? packet.generate(each) : Buffer.from(each as Buffer),
    );
    this.#socket.write(Buffer.concat(bytes));
  }

  /** The next packet of that kind that was not read yet, in order; others before it are passed over. */
  async next<C extends Packet["cmd"]>(cmd: C): Promise<Extract<Packet, { cmd: C }>> {
    const look = async () => {
      for (;;) {
        while (this.#read < this.received.length) {
          const came = this.received[this.#read++] as Packet;
          if (came.cmd === cmd) return came as Extract<Packet, { cmd: C }>;
        }
        if (this.closed) throw new Error(`closed before ${cmd} came`);
        await new Promise<void>((wake) => {
          this.#wake = wake;
        });
      }
    };
    return within(WAIT_MS_MAX, `no ${cmd} came`, look());
  }

  /** Resolves when the other side has closed. */
  async ended(): Promise<void> {
    const look = async () => {
      while (!this.closed) {
        await new Promise<void>((wake) => {
          this.#wake = wake;
        });
      }
    };
    await within(WAIT_MS_MAX, "not closed", look());
  }

  /** Answers PINGREQ after everything before it was dealt with: what has not come by then does not come. */
  async settled(): Promise<void> {
    this.send({ cmd: "pingreq" });
    await this.next("pingresp");
  }

  /** Lets go of what was read. */
  forget(): void {
    this.received.splice(0, this.#read);
    this.#read = 0;
  }

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  /** Without goodbye. */
  drop(): void {
    this.#socket.destroy();
  }
}
