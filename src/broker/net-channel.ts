import type { Socket } from "node:net";
import type { CertificateIdentity, Channel, ChannelReceiver } from "./ports.ts";

/** How long a socket that we have ended may take to send what is left. */
export const LINGER_MS = 2000;

/** A connection's bytes on a TCP or TLS socket. */
export class NetChannel implements Channel {
  readonly remote: string;
  readonly address: string;
  readonly loopback: boolean;
  readonly identity: CertificateIdentity | null;
  readonly unfinishedSinceMs = null;
  readonly #socket: Socket;
  #receiver: ChannelReceiver = NOBODY;
  #ended = false;

  constructor(socket: Socket, identity: CertificateIdentity | null) {
    this.#socket = socket;
    this.identity = identity;
    this.remote = remoteOf(socket);
    this.address = addressOf(socket);
    this.loopback = isLoopback(socket);
  }

  get receiver(): ChannelReceiver {
    return this.#receiver;
  }

  /** From now on what comes is handed over. */
  set receiver(receiver: ChannelReceiver) {
    this.#receiver = receiver;
    const socket = this.#socket;
    socket.on("data", (chunk) => receiver.data(chunk));
    socket.on("drain", () => receiver.drained());
    socket.on("error", () => {}); // 'close' follows and says all that matters
    socket.on("timeout", () => (this.#ended ? socket.destroy() : receiver.stalled()));
    socket.on("close", () => receiver.closed());
  }

  get pendingBytes(): number {
    return this.#socket.destroyed ? 0 : this.#socket.writableLength;
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

  admitted(): void {
    settle(this.#socket);
  }

  watch(ms: number): void {
    if (!this.#ended) this.#socket.setTimeout(ms);
  }

  end(): void {
    if (this.#socket.destroyed) return;
    this.#ended = true;
    this.#socket.end();
    this.#socket.resume(); // or an end that the client sends would never be seen
    this.#socket.setTimeout(LINGER_MS);
  }

  destroy(): void {
    this.#socket.destroy();
  }
}

/** A client that has silently gone is found out by TCP, whatever its keep-alive, after this and eleven more minutes. */
const PROBE_MS = 60_000;

/** What is asked of the system for a client that stays; for one of a flood it would be a good part of what it costs. */
export function settle(socket: Socket): void {
  socket.setNoDelay(true);
  socket.setKeepAlive(true, PROBE_MS);
}

/** "10.0.0.5:49152", for logs. */
export function remoteOf(socket: Socket): string {
  return `${socket.remoteAddress ?? ""}:${socket.remotePort ?? 0}`;
}

/** An address of IPv4 as such, also where the socket is one of IPv6. */
export function addressOf({ remoteAddress = "" }: Socket): string {
  return remoteAddress.replace(/^::ffff:/, "");
}

export function isLoopback(socket: Socket): boolean {
  const address = addressOf(socket);
  return address === "::1" || address.startsWith("127.");
}

/** Before anybody listens. */
export const NOBODY: ChannelReceiver = {
  data() {},
  drained() {},
  stalled() {},
  broken() {},
  closed() {},
};
