import { createServer, type IncomingMessage, type Server } from "node:http";
import type { Socket } from "node:net";
import { type WebSocket, WebSocketServer } from "ws";
import { isLoopback, LINGER_MS } from "./net-channel.ts";
import type { CertificateIdentity } from "./ports.ts";
import { mayConnect } from "./ws-origin.ts";

export interface WsGateOptions {
  readonly path: string;
  /** Of pages that may connect, beside those of the same host. */
  readonly origins: readonly string[];
  /** Of a WebSocket message. */
  readonly messageBytesMax: number;
  readonly handshakeTimeoutMs: number;
}

/** What a WebSocket gate needs of the listener behind it. */
export interface WsGateWorld {
  nowMs(): number;
  /** The handshake is done. `isForwarded`: a proxy says that it asks for somebody else. */
  opened(
    ws: WebSocket,
    socket: Socket,
    from: { readonly identity: CertificateIdentity | null; readonly isForwarded: boolean },
  ): void;
  refused(reason: string): void;
}

/**
 * The WebSocket handshake over sockets that others have accepted: path and subprotocol are asked for, nothing else is
 * served. Messages are not compressed: a few bytes could become very many.
 */
export class WsGate {
  readonly #http: Server;
  readonly #webSockets: WebSocketServer;
  readonly #options: WsGateOptions;
  readonly #world: WsGateWorld;
  /** Sockets whose handshake is under way. */
  readonly #arriving = new Map<Socket, Arriving>();

  constructor(options: WsGateOptions, world: WsGateWorld) {
    this.#options = options;
    this.#world = world;
    this.#http = createServer({ maxHeaderSize: HEADER_BYTES_MAX, keepAlive: false });
    const webSockets = {
      noServer: true,
      clientTracking: false,
      perMessageDeflate: false,
      autoPong: false, // the channel answers, as far as it is read
      maxPayload: options.messageBytesMax,
      maxFragments: 1024,
      maxBufferedChunks: 16_384,
      closeTimeout: LINGER_MS,
      handleProtocols: () => SUBPROTOCOL,
    };
    this.#webSockets = new WebSocketServer(webSockets);
    this.#http.on("upgrade", (request, socket, head) => {
      this.#upgrade(request, socket as Socket, head);
    });
    this.#http.on("request", (_request, response) => {
      world.refused("HTTP request without WebSocket");
      response.writeHead(426, { upgrade: "websocket", connection: "close" });
      response.end("MQTT over WebSocket is spoken here.\n");
    });
    this.#http.on("clientError", (error, socket) => {
      const { code } = error as NodeJS.ErrnoException;
      if (code === "HPE_HEADER_OVERFLOW")
        this.#refuse(socket as Socket, 431, "HTTP header too long");
      else if (code === "ECONNRESET") socket.destroy();
      else this.#refuse(socket as Socket, 400, "not HTTP");
    });
    this.#webSockets.on("wsClientError", (_error, socket) => {
      this.#refuse(socket as Socket, 400, "malformed WebSocket handshake");
    });
  }

  /** Begins the handshake on a socket from which nothing was read. */
  take(socket: Socket, identity: CertificateIdentity | null): void {
    this.#arriving.set(socket, { sinceMs: this.#world.nowMs(), identity });
    socket.on("close", () => this.#arriving.delete(socket));
    this.#http.emit("connection", socket);
  }

  /** Closes those whose handshake takes too long. Called every now and then. */
  sweep(): void {
    const now = this.#world.nowMs();
    for (const [socket, { sinceMs }] of this.#arriving) {
      if (now - sinceMs <= this.#options.handshakeTimeoutMs) break; // they come in order
      this.#world.refused("WebSocket handshake not finished in time");
      this.#arriving.delete(socket);
      socket.destroy();
    }
  }

  #upgrade(request: IncomingMessage, socket: Socket, head: Buffer): void {
    socket.on("error", () => {}); // 'close' follows and says all that matters
    const path = (request.url ?? "").split("?", 1)[0];
    const { origin, host } = request.headers;
    const offered = (request.headers["sec-websocket-protocol"] ?? "").split(",");
    if (path !== this.#options.path) {
      this.#refuse(socket, 404, "WebSocket of another path");
    } else if (!mayConnect({ origin, host, loopback: isLoopback(socket) }, this.#options.origins)) {
      this.#refuse(socket, 403, "WebSocket of another origin");
    } else if (!offered.some((each) => each.trim() === SUBPROTOCOL)) {
      this.#refuse(socket, 400, "WebSocket without the subprotocol mqtt"); // [MQTT-6.0.0-3]
    } else {
      this.#webSockets.handleUpgrade(request, socket, head, (ws) => {
        const identity = this.#arriving.get(socket)?.identity ?? null;
        this.#arriving.delete(socket);
        const isForwarded = FORWARDED.some((name) => request.headers[name] !== undefined);
        this.#world.opened(ws, socket, { identity, isForwarded });
      });
    }
  }

  #refuse(socket: Socket, status: number, reason: string): void {
    this.#world.refused(reason);
    if (!socket.writable) {
      socket.destroy();
      return;
    }
    const line = `HTTP/1.1 ${status} ${STATUS[status] ?? ""}`;
    const body = `${reason}\n`;
    socket.end(
      `${line}\r\nConnection: close\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
      () => socket.destroy(),
    );
  }
}

interface Arriving {
  readonly sinceMs: number;
  readonly identity: CertificateIdentity | null;
}

/** [MQTT-6.0.0-3], [MQTT-6.0.0-4] */
const SUBPROTOCOL = "mqtt";
const HEADER_BYTES_MAX = 8192;
/** What proxies add (RFC 7239). It can take rights from who asks, and gives none. */
const FORWARDED = ["forwarded", "x-forwarded-for", "x-real-ip", "via"];
const STATUS: Readonly<Record<number, string>> = {
  400: "Bad Request",
  403: "Forbidden",
  404: "Not Found",
  431: "Request Header Fields Too Large",
};
