import type { Socket } from "node:net";
import type { WebSocket } from "ws";
import { addressOf, isLoopback, NOBODY, remoteOf, settle } from "./net-channel.ts";
import type { CertificateIdentity, Channel, ChannelReceiver } from "./ports.ts";
import { WsFrameEnds } from "./ws-frame-ends.ts";

/** Close codes of RFC 6455, section 7.4.1. */
const CLOSE = { normal: 1000, unsupportedData: 1003, tooBig: 1009 } as const;

export interface WsChannelOptions {
  readonly identity: CertificateIdentity | null;
  /** Who came to the socket came for somebody else: where that one is, is not known. */
  readonly isForwarded: boolean;
  /** How much a client that is not in yet may have us hold. */
  readonly connectBytesMax: number;
  /** Monotonic. */
  nowMs(): number;
}

/**
 * A connection's bytes in WebSocket messages: binary ones only [MQTT-6.0.0-1], and where one ends means nothing
 * [MQTT-6.0.0-2]. All that is written in one turn leaves as one write.
 */
export class WsChannel implements Channel {
  readonly remote: string;
  readonly address: string;
  readonly loopback: boolean;
  readonly identity: CertificateIdentity | null;
  readonly #ws: WebSocket;
  readonly #socket: Socket;
  readonly #nowMs: () => number;
  readonly #frames = new WsFrameEnds();
  #openSinceMs: number | null = null;
  /** Until the client is in, no more than this may have come since the last whole message. */
  #bytesMax: number;
  #bytes = 0;
  #receiver: ChannelReceiver = NOBODY;
  #closeCode: number = CLOSE.normal;

  constructor(ws: WebSocket, socket: Socket, options: WsChannelOptions) {
    this.#ws = ws;
    this.#socket = socket;
    this.identity = options.identity;
    this.remote = remoteOf(socket);
    this.address = addressOf(socket);
    this.loopback = isLoopback(socket) && !options.isForwarded;
    this.#bytesMax = options.connectBytesMax + CHUNK_BYTES_MAX;
    this.#nowMs = options.nowMs;
  }

  /** Since when a message is on its way to us; null: none is. */
  get unfinishedSinceMs(): number | null {
    return this.#openSinceMs;
  }

  get receiver(): ChannelReceiver {
    return this.#receiver;
  }

  /** From now on what comes is handed over. */
  set receiver(receiver: ChannelReceiver) {
    this.#receiver = receiver;
    const ws = this.#ws;
    const socket = this.#socket;
    ws.on("message", (bytes, isBinary) => {
      this.#bytes = 0;
      this.#openSinceMs = this.#frames.isOpen ? this.#nowMs() : null;
      if (isBinary) receiver.data(bytes as Buffer);
      else this.#break(CLOSE.unsupportedData, "WebSocket text message");
    });
    // A flood of pings must not make us hold as many pongs: the last ones may go unanswered (RFC 6455, section 5.5.3).
    ws.on("ping", (said) => {
      if (!socket.writableNeedDrain) ws.pong(said);
    });
    ws.on("error", (error) => receiver.broken(reasonOf(error)));
    ws.on("close", () => receiver.closed());
    socket.on("drain", () => receiver.drained());
    socket.on("timeout", () => receiver.stalled());
    socket.on("data", this.#count);
  }

  get pendingBytes(): number {
    return this.#socket.destroyed ? 0 : this.#socket.writableLength;
  }

  write(parts: readonly Buffer[], done: () => void): void {
    const ws = this.#ws;
    const last = parts.at(-1);
    if (last === undefined || ws.readyState !== ws.OPEN) {
      done();
      return;
    }
    this.#socket.cork();
    for (const part of parts) {
      if (part === last) ws.send(part, () => done());
      else ws.send(part);
    }
    this.#socket.uncork();
  }

  pause(): void {
    this.#ws.pause();
  }

  resume(): void {
    // What came while it was not read is still to be seen.
    if (this.#openSinceMs !== null) this.#openSinceMs = this.#nowMs();
    this.#ws.resume();
  }

  admitted(): void {
    settle(this.#socket);
    this.#bytesMax = Number.POSITIVE_INFINITY;
  }

  watch(ms: number): void {
    if (this.#ws.readyState === this.#ws.OPEN) this.#socket.setTimeout(ms);
  }

  end(): void {
    this.#socket.setTimeout(0);
    this.#ws.resume(); // or the client's own close would never be seen
    this.#ws.close(this.#closeCode);
  }

  destroy(): void {
    this.#ws.terminate();
  }

  /** A long message is held until its end has come: of a client that is not in, no more than a CONNECT. */
  readonly #count = (chunk: Buffer): void => {
    this.#frames.take(chunk);
    if (!this.#frames.isOpen) this.#openSinceMs = null;
    else this.#openSinceMs ??= this.#nowMs();
    this.#bytes += chunk.length;
    if (this.#bytes > this.#bytesMax) this.#break(CLOSE.tooBig, "WebSocket message too long");
  };

  #break(closeCode: number, reason: string): void {
    this.#closeCode = closeCode;
    this.#receiver.broken(reason);
  }
}

/** What one read brings at most: how much more may lie behind the last whole message. */
const CHUNK_BYTES_MAX = 65_536;

function reasonOf(error: Error): string {
  const { code } = error as NodeJS.ErrnoException;
  if (code === "WS_ERR_UNSUPPORTED_MESSAGE_LENGTH" || code === "WS_ERR_TOO_MANY_BUFFERED_PARTS") {
    return "WebSocket message too long";
  }
  return code?.startsWith("WS_ERR_") === true ? "malformed WebSocket frame" : "connection lost";
}
