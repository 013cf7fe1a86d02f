import {
  type AddressInfo,
  createServer as createListener,
  type Server,
  type Socket,
} from "node:net";
import {
  connect,
  createServer,
  type Server as SecureServer,
  type TLSSocket,
  type TlsOptions,
} from "node:tls";
import { FieldgateError } from "../base/errors.ts";
import { readFileBytes } from "../base/file-text.ts";
import { PerAddress } from "./per-address.ts";
import type { Channel, ChannelReceiver, PeerNetwork } from "./ports.ts";

export interface TlsNetworkOptions {
  readonly host: string;
  readonly port: number;
  readonly caFile: string;
  readonly certFile: string;
  readonly keyFile: string;
  readonly frameBytesMax: number;
  readonly connectTimeoutMs: number;
  /** Connections at a time, in each direction. */
  readonly peersMax: number;
  /** That others have made, of one address: base/network.ts. */
  readonly connectionsPerAddressMax: number;
}

const LENGTH_BYTES = 4;
const ALERT = /ERR_SSL|alert|certificate|CERT|self.signed|issuer/i;

/**
 * Gateways over TLS 1.3, each with a certificate of the site's authority (x509-certificates.ts): who they are is the common
 * name of their subject, wherever they are. Files are read for each connection and at the start of the listener.
 */
export function tlsNetwork(options: TlsNetworkOptions): PeerNetwork {
  return new TlsNetwork(options);
}

class TlsNetwork implements PeerNetwork {
  readonly #options: TlsNetworkOptions;
  readonly #channels = new Set<TlsChannel>();
  /** That others have made: those whose handshake is not done are no channels yet. */
  readonly #sockets = new Set<Socket>();
  readonly #perAddress: PerAddress;
  #server: Server | null = null;

  constructor(options: TlsNetworkOptions) {
    this.#options = options;
    this.#perAddress = new PerAddress(options.connectionsPerAddressMax);
  }

  dial(address: string, gateway: string, receiver: ChannelReceiver): Channel {
    const channel = new TlsChannel(this.#options.frameBytesMax, receiver, () =>
      this.#channels.delete(channel),
    );
    this.#channels.add(channel);
    void this.#connect(address, gateway, channel).catch((error) => channel.fail(error));
    return channel;
  }

  async listen(
    accept: (channel: Channel, gateway: string) => ChannelReceiver,
    refused: (error: FieldgateError) => void,
  ): Promise<string> {
    const { host, port, connectTimeoutMs, peersMax } = this.#options;
    const files = await readFiles(this.#options);
    const options = {
      ...files,
      minVersion: "TLSv1.3",
      requestCert: true,
      rejectUnauthorized: true,
      handshakeTimeout: connectTimeoutMs,
    } satisfies TlsOptions;
    const secure = this.#secure(options, accept, refused);
    const server = createListener((socket) => {
      const address = socket.remoteAddress ?? "";
      if (!this.#perAddress.take(address)) {
        socket.destroy();
        refused(tooMany(address));
        return;
      }
      this.#sockets.add(socket);
      socket.once("close", () => {
        this.#perAddress.release(address);
        this.#sockets.delete(socket);
      });
      secure.emit("connection", socket);
    });
    this.#server = server;
    // Each peer has one, and may have another one while the old one is not yet noticed to be dead.
    server.maxConnections = 2 * peersMax;
    server.on("drop", (from) => refused(tooMany(from?.remoteAddress)));
    await new Promise<void>((resolve, reject) => {
      server.once("error", (cause) => {
        const message = `cluster.peer cannot listen on ${host}:${port}: ${cause.message}`;
        reject(new FieldgateError("ERR_LISTEN", message, { cause, details: { host, port } }));
      });
      server.listen(port, host, resolve);
    });
    const { port: taken } = server.address() as AddressInfo;
    return `${host.includes(":") ? `[${host}]` : host}:${taken}`;
  }

  async close(): Promise<void> {
    const server = this.#server;
    this.#server = null;
    for (const channel of [...this.#channels]) channel.destroy();
    for (const socket of this.#sockets) socket.destroy();
    if (server?.listening) await new Promise<void>((resolve) => server.close(() => resolve()));
  }

  #secure(
    options: TlsOptions,
    accept: (channel: Channel, gateway: string) => ChannelReceiver,
    refused: (error: FieldgateError) => void,
  ): SecureServer {
    try {
      const server = createServer(options, (socket) => this.#accept(socket, accept));
      // Node leaves it open when the handshake took too long.
      return server.on("tlsClientError", (error, socket) => {
        const { remoteAddress: address } = socket;
        socket.destroy();
        refused(noHandshake(error, address));
      });
    } catch (cause) {
      throw badFiles(cause);
    }
  }

  async #connect(address: string, gateway: string, channel: TlsChannel): Promise<void> {
    const { host, port } = parseAddress(address);
    const files = await readFiles(this.#options);
    if (channel.isOver) return;
    let socket: TLSSocket;
    try {
      socket = connect({
        ...files,
        host,
        port,
        minVersion: "TLSv1.3",
        // Who it is does not hang on its address: any gateway of the site may have any.
        checkServerIdentity: (_host, { subject }) => {
          const name = String(subject.CN);
          return name === gateway ? undefined : wrongGateway(gateway, name);
        },
      });
    } catch (cause) {
      throw badFiles(cause);
    }
    channel.use(socket);
    socket.once("secureConnect", () => channel.opened());
  }

  #accept(socket: TLSSocket, accept: (channel: Channel, gateway: string) => ChannelReceiver): void {
    const gateway = String(socket.getPeerCertificate().subject?.CN ?? "");
    const channel = new TlsChannel(this.#options.frameBytesMax, null, () =>
      this.#channels.delete(channel),
    );
    this.#channels.add(channel);
    channel.receiver = accept(channel, gateway);
    channel.use(socket);
    channel.opened();
  }
}

class TlsChannel implements Channel {
  receiver: ChannelReceiver | null;
  isOver = false;
  readonly #frameBytesMax: number;
  readonly #gone: () => void;
  #socket: TLSSocket | null = null;
  #chunks: Buffer[] = [];
  #bytes = 0;
  /** Length of the frame that is coming in; null before it is known. */
  #wanted: number | null = null;

  constructor(frameBytesMax: number, receiver: ChannelReceiver | null, gone: () => void) {
    this.#frameBytesMax = frameBytesMax;
    this.receiver = receiver;
    this.#gone = gone;
  }

  get pendingBytes(): number {
    return this.#socket?.writableLength ?? 0;
  }

  use(socket: TLSSocket): void {
    this.#socket = socket;
    socket.setNoDelay(true);
    socket.on("data", (chunk) => this.#data(chunk));
    socket.on("error", (error) => this.fail(explain(error)));
    socket.on("close", () => this.fail(closed()));
  }

  opened(): void {
    if (!this.isOver) this.receiver?.opened();
  }

  send(...frames: readonly Buffer[]): void {
    const socket = this.#socket;
    if (this.isOver || socket === null || socket.destroyed) return;
    socket.cork();
    for (const frame of frames) {
      const length = Buffer.alloc(LENGTH_BYTES);
      length.writeUInt32BE(frame.length);
      socket.write(length);
      socket.write(frame);
    }
    socket.uncork();
  }

  pause(): void {
    this.#socket?.pause();
  }

  resume(): void {
    this.#socket?.resume();
  }

  close(): void {
    this.isOver = true;
    this.#chunks = [];
    const socket = this.#socket;
    if (socket === null) {
      this.#gone();
      return;
    }
    // What the other side still sends is not wanted; one that does not close its end is not waited for.
    socket.resume();
    socket.setTimeout(CLOSE_MS_MAX, () => socket.destroy());
    socket.end(() => socket.destroySoon());
    socket.once("close", this.#gone);
  }

  destroy(): void {
    this.isOver = true;
    this.#socket?.destroy();
    this.#gone();
  }

  fail(error: FieldgateError): void {
    if (this.isOver) return;
    this.destroy();
    this.receiver?.closed(error);
  }

  #data(chunk: Buffer): void {
    if (this.isOver) return;
    this.#chunks.push(chunk);
    this.#bytes += chunk.length;
    while (!this.isOver) {
      if (this.#wanted === null) {
        if (this.#bytes < LENGTH_BYTES) return;
        this.#wanted = this.#take(LENGTH_BYTES).readUInt32BE();
        if (this.#wanted === 0 || this.#wanted > this.#frameBytesMax) {
          const details = { frameBytes: this.#wanted, frameBytesMax: this.#frameBytesMax };
          const message = "the peer sent a frame that is empty or too large";
          this.fail(new FieldgateError("ERR_PEER_PROTOCOL", message, { details }));
          return;
        }
      }
      if (this.#bytes < this.#wanted) return;
      const frame = this.#take(this.#wanted);
      this.#wanted = null;
      this.receiver?.frame(frame);
    }
  }

  #take(length: number): Buffer {
    const first = this.#chunks[0] as Buffer;
    const all = first.length >= length ? first : Buffer.concat(this.#chunks);
    if (all !== first) this.#chunks = [all];
    this.#bytes -= length;
    if (all.length === length) this.#chunks.shift();
    else this.#chunks[0] = all.subarray(length);
    return all.subarray(0, length);
  }
}

const CLOSE_MS_MAX = 500;
const FILE_BYTES_MAX = 2 ** 20;

async function readFiles({ caFile, certFile, keyFile }: TlsNetworkOptions) {
  const paths = { caFile, certFile, keyFile };
  const read = Object.entries(paths).map(async ([key, path]) => {
    try {
      return (await readFileBytes(path, FILE_BYTES_MAX)).bytes;
    } catch (cause) {
      const message = `the file of cluster.peer.${key} cannot be read`;
      throw new FieldgateError("ERR_CERTIFICATE", message, { cause, details: { path } });
    }
  });
  const [ca, cert, key] = (await Promise.all(read)) as [Buffer, Buffer, Buffer];
  return { ca, cert, key };
}

function parseAddress(address: string): { host: string; port: number } {
  const at = address.lastIndexOf(":");
  const host = address.slice(0, at).replace(/^\[|\]$/g, "");
  return { host, port: Number(address.slice(at + 1)) };
}

function wrongGateway(wanted: string, name: string): FieldgateError {
  const message = `the gateway that answers has the certificate of ${name}, not of ${wanted}`;
  return new FieldgateError("ERR_PEER_CERTIFICATE", message, { details: { wanted, name } });
}

function badFiles(cause: unknown): FieldgateError {
  const message = "the files of cluster.peer are no certificate, or key and certificate do not fit";
  return new FieldgateError("ERR_CERTIFICATE", message, { cause });
}

function tooMany(address: string | undefined): FieldgateError {
  const message = "too many connections of its address, or of all";
  return new FieldgateError("ERR_PEER_CONNECTIONS", message, { details: { address } });
}

function noHandshake(cause: Error, address: string | undefined): FieldgateError {
  const message = "it has no certificate of this site, or the handshake failed";
  return new FieldgateError("ERR_PEER_CERTIFICATE", message, { cause, details: { address } });
}

/** TLS says no in many words; all of them mean that one side does not believe the other one's certificate. */
function explain(cause: Error & { code?: string }): FieldgateError {
  if (cause instanceof FieldgateError) return cause;
  if (ALERT.test(`${cause.code ?? ""} ${cause.message}`)) {
    const message =
      "no trust between this gateway and the peer: are both certificates of this site's authority, and valid?";
    return new FieldgateError("ERR_PEER_CERTIFICATE", message, { cause });
  }
  if (cause.code === "ECONNREFUSED") {
    return new FieldgateError("ERR_PEER_GONE", "nobody listens at the peer's address", { cause });
  }
  return new FieldgateError("ERR_PEER_CLOSED", "the connection to the peer failed", { cause });
}

function closed(): FieldgateError {
  return new FieldgateError("ERR_PEER_CLOSED", "the peer closed the connection");
}
