import { createServer, type Server, type Socket } from "node:net";
import { FieldgateError } from "../base/errors.ts";
import type { Channel, ChannelReceiver } from "./ports.ts";

export interface NetListenerOptions {
  readonly name: string;
  readonly host: string;
  readonly port: number;
}

const LINGER_MS = 2000;
const BACKLOG = 1024;

/** Accepts TCP connections on one address. */
export class NetListener {
  readonly options: NetListenerOptions;
  readonly #accept: (channel: Channel) => ChannelReceiver | null;
  readonly #sockets = new Set<Socket>();
  #server: Server | null = null;

  /** @param accept gives the receiver of a new connection, or null to refuse it */
  constructor(options: NetListenerOptions, accept: (channel: Channel) => ChannelReceiver | null) {
    this.options = options;
    this.#accept = accept;
  }

  /** The port it listens on: the one that the system chose where 0 was asked for. */
  get port(): number {
    const address = this.#server?.address();
    return typeof address === "object" && address !== null ? address.port : this.options.port;
  }

  /** @throws FieldgateError ERR_LISTEN when the address is not free or not ours. */
  async listen(): Promise<void> {
    const { name, host, port } = this.options;
    const server = createServer({ noDelay: true }, (socket) => this.#connected(socket));
    this.#server = server;
    await new Promise<void>((resolve, reject) => {
      server.once("error", (cause) => {
        const message = `listener ${name} cannot listen on ${host}:${port}: ${cause.message}`;
        reject(new FieldgateError("ERR_LISTEN", message, { cause, details: { name, host, port } }));
      });
      server.listen({ host, port, backlog: BACKLOG }, resolve);
    });
    server.removeAllListeners("error");
    server.on("error", () => {}); // accept errors (no descriptors left) pass: the next accept is tried
  }

  /** Accepts nobody any more. Connections live on. */
  close(): void {
    this.#server?.close();
  }

  /** Ends what is still connected, and resolves when nothing is left. */
  async end(): Promise<void> {
    const server = this.#server;
    if (server === null) return;
    const ended = new Promise<void>((resolve) => server.close(() => resolve()));
    for (const socket of this.#sockets) socket.destroy();
    await ended;
    this.#server = null;
  }

  #connected(socket: Socket): void {
    const channel = new NetChannel(socket);
    const receiver = this.#accept(channel);
    if (receiver === null) {
      socket.destroy();
      return;
    }
    channel.receiver = receiver;
    this.#sockets.add(socket);
    socket.on("data", (chunk) => channel.receiver.data(chunk));
    socket.on("drain", () => channel.receiver.drained());
    socket.on("error", () => {}); // 'close' follows and says all that matters
    socket.on("timeout", () => socket.destroy());
    socket.on("close", () => {
      this.#sockets.delete(socket);
      channel.receiver.closed();
    });
  }
}

class NetChannel implements Channel {
  readonly remote: string;
  readonly loopback: boolean;
  receiver: ChannelReceiver = NOBODY;
  readonly #socket: Socket;

  constructor(socket: Socket) {
    this.#socket = socket;
    const address = socket.remoteAddress ?? "";
    this.remote = `${address}:${socket.remotePort ?? 0}`;
    this.loopback = address === "::1" || address.replace("::ffff:", "").startsWith("127.");
  }

  get pendingBytes(): number {
    return this.#socket.writableLength;
  }

  write(parts: readonly Buffer[], done: () => void): void {
    const socket = this.#socket;
    const last = parts.at(-1);
    if (last === undefined || socket.destroyed || socket.writableEnded) {
      done();
    } else if (parts.length === 1) {
      socket.write(last, done);
    } else {
      socket.cork();
      for (const part of parts) {
        if (part === last) socket.write(part, done);
        else socket.write(part);
      }
      socket.uncork();
    }
  }

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  end(): void {
    if (this.#socket.destroyed) return;
    this.#socket.end();
    this.#socket.resume(); // or an end that the client sends would never be seen
    this.#socket.setTimeout(LINGER_MS);
  }

  destroy(): void {
    this.#socket.destroy();
  }
}

const NOBODY: ChannelReceiver = { data() {}, drained() {}, closed() {} };
