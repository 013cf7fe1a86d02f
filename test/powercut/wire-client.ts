import { connect, type Socket } from "node:net";
import packet, { type IConnackPacket, type IConnectPacket, type Packet } from "mqtt-packet";
import { within } from "../support/within.ts";

const CONNECT_MS_MAX = 10_000;

export interface WireListener {
  /** `at` is the position when the bytes came. */
  packet(came: Packet, at: number): void;
  closed(): void;
}

/** One connection of an MQTT 3.1.1 client that answers nothing by itself. */
export class WireClient {
  readonly #listener: WireListener;
  readonly #position: () => number;
  #socket: Socket | null = null;
  #ended: Promise<unknown> = Promise.resolve();

  constructor(position: () => number, listener: WireListener) {
    this.#position = position;
    this.#listener = listener;
  }

  /**
   * Resolves with CONNACK, and the position when it came.
   * @throws Error when the broker refuses, or closes, or is silent
   */
  async connect(
    port: number,
    options: Partial<IConnectPacket> & { readonly clientId: string },
  ): Promise<IConnackPacket & { readonly at: number }> {
    const socket = connect({ port, host: "127.0.0.1", noDelay: true });
    this.#socket = socket;
    // Not once(): it fails on an error, and an end by an error is an end.
    this.#ended = new Promise<void>((resolve) => socket.once("close", () => resolve())).then(() =>
      this.#listener.closed(),
    );
    const accepted = new Promise<IConnackPacket & { at: number }>((resolve, reject) => {
      const parser = packet.parser();
      let at = 0;
      parser.on("packet", (came) => {
        if (came.cmd === "connack") resolve({ ...came, at });
        else this.#listener.packet(came, at);
      });
      socket.on("data", (chunk) => {
        at = this.#position();
        parser.parse(chunk);
      });
      socket.on("error", reject);
      socket.on("close", () => reject(new Error("closed before CONNACK")));
    });
    socket.on("connect", () =>
      this.send({ cmd: "connect", clean: false, keepalive: 0, ...options }),
    );
    const who = `${options.clientId} on port ${port}`;
    const connack = await within(CONNECT_MS_MAX, `no CONNACK for ${who}`, accepted);
    if (connack.returnCode !== 0) throw new Error(`${who} refused: ${connack.returnCode}`);
    return connack;
  }

  send(...packets: readonly Packet[]): void {
    const bytes = packets.map((each) => packet.generate(each));
    this.#socket?.write(Buffer.concat(bytes));
  }

  /** DISCONNECT, and the end of the connection. */
  async goodbye(): Promise<void> {
    this.#socket?.end(packet.generate({ cmd: "disconnect" }));
    await this.#ended;
  }

  /** The end of the connection, without a word. */
  async drop(): Promise<void> {
    this.#socket?.destroy();
    await this.#ended;
  }

  /** Resolves when the connection has ended, by whomever. */
  async ended(): Promise<void> {
    await this.#ended;
  }
}
