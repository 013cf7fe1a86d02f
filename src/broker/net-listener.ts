import { createServer, type Server, type Socket } from "node:net";
import type { Clock } from "../base/clock.ts";
import { errorFields, FieldgateError } from "../base/errors.ts";
import type { Log } from "../base/log.ts";
import type { Arrivals } from "./arrivals.ts";
import { type CertificateStatus, CertificateWatch } from "./certificate-watch.ts";
import { type CertificateFiles, readCertificates } from "./file-certificates.ts";
import { NetChannel, remoteOf } from "./net-channel.ts";
import { TlsGate, type TlsGateOptions } from "./net-tls-gate.ts";
import { WsChannel } from "./net-ws-channel.ts";
import { WsGate } from "./net-ws-gate.ts";
import type { CertificateIdentity, Channel, ChannelReceiver } from "./ports.ts";

export interface ListenerOptions extends CertificateFiles, TlsGateOptions {
  readonly type: "tcp" | "tls" | "ws" | "wss";
  readonly host: string;
  readonly port: number;
  /** Of a WebSocket. */
  readonly path: string;
  /** Of the pages that may connect to a WebSocket, beside those of the same host. */
  readonly origins: readonly string[];
  readonly certificateCheckSeconds: number;
}

/** What a listener needs of the broker. */
export interface ListenerWorld {
  readonly clock: Clock;
  readonly log: Log;
  readonly arrivals: Arrivals;
  /** The longest packet before a client is in, and afterwards. */
  readonly connectBytesMax: number;
  readonly packetBytesMax: number;
  /** The receiver of a new connection whose handshakes are done; `sinceMs`: when it came, before them. */
  accept(channel: Channel, sinceMs: number): ChannelReceiver;
  /** Someone was turned away, for a reason that is counted. */
  refused(reason: string): void;
  /** Whether this machine's clock was set since it started. */
  wallIsSure(): boolean;
}

/** What a listener looks like now. */
export interface ListenerStatus {
  readonly name: string;
  readonly type: ListenerOptions["type"];
  readonly port: number;
  /** Open sockets, those whose handshake is under way included. */
  readonly sockets: number;
  /** Connections that the system could not hand over, for want of descriptors for example. */
  readonly acceptErrors: number;
  /** Why it does not listen yet, and tries again: its address is not one of this machine. Null: it listens. */
  readonly waiting: string | null;
  readonly certificate: CertificateStatus | null;
}

const BACKLOG = 1024;

/**
 * Accepts connections on one address and hands each on when its handshakes are done:
 *
 *   TCP ──▶ [TLS] ──▶ [HTTP, WebSocket] ──▶ channel
 */
export class NetListener {
  readonly options: ListenerOptions;
  readonly #world: ListenerWorld;
  readonly #sockets = new Set<Socket>();
  /** When each came, by whom it comes from. */
  readonly #sinceMs = new Map<string, number>();
  readonly #webSockets: WsGate | null;
  readonly #watch: CertificateWatch | null;
  #tls: TlsGate | null = null;
  #server: Server | null = null;
  #acceptErrors = 0;
  #isShut = false;
  #isClosed = false;
  #waiting: string | null = null;
  /** The attempt to take its address that is under way. */
  #binding: Promise<void> | null = null;

  constructor(options: ListenerOptions, world: ListenerWorld) {
    const { clock, log } = world;
    this.options = options;
    this.#world = world;
    this.#watch = usesTls(options)
      ? new CertificateWatch(
          () => readCertificates(options),
          (fresh) => this.#tls?.renew(fresh),
          { clock, log: log.part(options.name) },
        )
      : null;
    this.#webSockets = usesWebSocket(options) ? this.#wsGate() : null;
  }

  /** The port it listens on: the one that the system chose where 0 was asked for. */
  get port(): number {
    const address = this.#server?.address();
    return typeof address === "object" && address !== null ? address.port : this.options.port;
  }

  get status(): ListenerStatus {
    const { name, type } = this.options;
    return {
      name,
      type,
      port: this.port,
      sockets: this.#sockets.size,
      acceptErrors: this.#acceptErrors,
      waiting: this.#waiting,
      certificate: this.#watch?.status() ?? null,
    };
  }

  /**
   * Listens, or waits until its address is one of this machine: a cable may be plugged in, a lease may come.
   * @throws FieldgateError ERR_LISTEN when the address is not free or may not be taken; ERR_CONFIG_UNREADABLE or ERR_CERTIFICATE
   * when a file of a TLS listener cannot be used
   */
  async listen(): Promise<void> {
    const { name, host, port, certificateCheckSeconds } = this.options;
    if (this.#watch !== null) {
      const certificates = await this.#watch.start(certificateCheckSeconds * 1000);
      this.#tls = new TlsGate(certificates, this.options, {
        secured: (socket, identity) => this.#secured(socket, identity),
        refused: this.#world.refused,
        wallIsSure: this.#world.wallIsSure,
        wallMs: () => this.#world.clock.wallMs(),
      });
    }
    try {
      await this.#bind();
    } catch (error) {
      if (!isElsewhere(error)) throw error;
      this.#waiting = `listener ${name} waits: ${host} is no address of this machine; is the cable in, has it an address? ip addr`;
      this.#world.log.warn("listener waits for its address", { name, host, port });
    }
  }

  /** Called every now and then: closes those whose handshake takes too long, and tries again where the address was not there. */
  sweep(): void {
    this.#webSockets?.sweep();
    this.#tls?.sweep();
    if (this.#waiting === null || this.#binding !== null || this.#isClosed) return;
    this.#binding = this.#bind()
      .catch((error: FieldgateError) => {
        if (!isElsewhere(error)) this.#waiting = error.message;
      })
      .finally(() => {
        this.#binding = null;
      });
  }

  /** Called often: lets connections in again when there is room for some. @returns whether it lets them in */
  reopen(): boolean {
    const { arrivals } = this.#world;
    if (this.#isShut && arrivals.closedTo(arrivals.few) === null) this.#shut(false);
    return !this.#isShut;
  }

  /** Accepts nobody any more. Connections live on. */
  close(): void {
    this.#isClosed = true;
    this.#server?.close();
  }

  /** Ends what is still connected, and resolves when nothing is left. */
  async end(): Promise<void> {
    this.#isClosed = true;
    await this.#watch?.stop();
    await this.#binding;
    const server = this.#server;
    if (server === null) return;
    const ended = new Promise<void>((resolve) => server.close(() => resolve()));
    for (const socket of this.#sockets) socket.destroy();
    await ended;
    this.#server = null;
  }

  /** @throws FieldgateError ERR_LISTEN */
  async #bind(): Promise<void> {
    const { name, host, port } = this.options;
    const server = createServer();
    server.on("connection", (socket) => this.#arrived(socket));
    server.on("drop", () => this.#turnedAway());
    await new Promise<void>((resolve, reject) => {
      server.once("error", (cause) => {
        const message = `listener ${name} cannot listen on ${host}:${port}: ${cause.message}`;
        reject(new FieldgateError("ERR_LISTEN", message, { cause, details: { name, host, port } }));
      });
      server.listen({ host, port, backlog: BACKLOG }, resolve);
    });
    server.removeAllListeners("error");
    server.on("error", (error) => this.#acceptFailed(error));
    this.#server = server;
    this.#waiting = null;
    this.#world.log.info("listening", { name, host, port: this.port });
    if (this.#isClosed) server.close();
  }

  #arrived(socket: Socket): void {
    const { arrivals, refused, clock } = this.#world;
    const address = socket.remoteAddress ?? "";
    const refusal = arrivals.enter(address);
    if (refusal !== null) {
      refused(refusal);
      socket.destroy();
      if (arrivals.closedTo(1) !== null) this.#shut(true);
      return;
    }
    const remote = remoteOf(socket);
    this.#sockets.add(socket);
    this.#sinceMs.set(remote, clock.monotonicMs());
    socket.on("error", () => {}); // 'close' follows and says all that matters
    socket.on("close", () => {
      this.#sockets.delete(socket);
      this.#sinceMs.delete(remote);
      arrivals.leave(address);
      this.reopen();
    });
    if (this.#tls === null) this.#secured(socket, null);
    else this.#tls.take(socket);
  }

  #secured(socket: Socket, identity: CertificateIdentity | null): void {
    if (this.#webSockets === null) this.#open(new NetChannel(socket, identity));
    else this.#webSockets.take(socket, identity);
  }

  #wsGate(): WsGate {
    const { clock, packetBytesMax, connectBytesMax, refused } = this.#world;
    const { path, origins, handshakeTimeoutMs } = this.options;
    return new WsGate(
      { path, origins, handshakeTimeoutMs, messageBytesMax: packetBytesMax },
      {
        nowMs: () => clock.monotonicMs(),
        refused,
        opened: (ws, socket, from) => {
          const nowMs = () => clock.monotonicMs();
          this.#open(new WsChannel(ws, socket, { ...from, connectBytesMax, nowMs }));
        },
      },
    );
  }

  #open(channel: Channel): void {
    const sinceMs = this.#sinceMs.get(channel.remote) ?? this.#world.clock.monotonicMs();
    channel.receiver = this.#world.accept(channel, sinceMs);
  }

  /**
   * While nobody may come in, Node closes what arrives before it makes a socket of it, at a quarter of the cost: a flood
   * must leave time for those who are in.
   */
  #shut(isShut: boolean): void {
    this.#isShut = isShut;
    if (this.#server !== null) this.#server.maxConnections = isShut ? 1 : Number.POSITIVE_INFINITY;
  }

  #turnedAway(): void {
    const { arrivals, refused } = this.#world;
    refused(arrivals.closedTo(arrivals.few) ?? "too many new connections a second");
    this.reopen();
  }

  /** The next accept is tried all the same. One line for a flood of them. */
  #acceptFailed(error: Error): void {
    if (this.#acceptErrors++ === 0) {
      this.#world.log.error("connection not accepted", {
        name: this.options.name,
        ...errorFields(error),
      });
    }
    this.#world.refused("not accepted by the system");
  }
}

/** The address is not one of this machine, now. */
function isElsewhere(error: unknown): boolean {
  const { cause } = error as { readonly cause?: NodeJS.ErrnoException };
  return cause?.code === "EADDRNOTAVAIL";
}

function usesTls({ type }: ListenerOptions): boolean {
  return type === "tls" || type === "wss";
}

function usesWebSocket({ type }: ListenerOptions): boolean {
  return type === "ws" || type === "wss";
}
