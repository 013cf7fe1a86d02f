import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Duplex } from "node:stream";
import { type ConnectionOptions, connect as connectTls, type TLSSocket } from "node:tls";
import { createWebSocketStream, WebSocket } from "ws";
import { authority, certificate, type KeyPair } from "./certificates.ts";
import { within } from "./within.ts";

/** Each kind of listener. */
export const WIRES = ["tcp", "tls", "ws", "wss"] as const;
export type Wire = (typeof WIRES)[number];

/** Certificates for a test: an authority, a server at localhost, a client, and a stranger's. */
export interface TestCertificates {
  readonly ca: KeyPair;
  readonly server: KeyPair;
  readonly client: KeyPair;
  readonly stranger: KeyPair;
  readonly directory: string;
}

export async function withCertificates(
  test: (certificates: TestCertificates) => Promise<void>,
): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), "fieldgate-listeners-"));
  try {
    const ca = authority(directory, "ca");
    const others = authority(directory, "others");
    await test({
      ca,
      directory,
      server: certificate(directory, ca, "server", "subjectAltName=DNS:localhost"),
      client: certificate(directory, ca, "sensor-7", "subjectAltName=DNS:sensor-7.plant,URI:urn:7"),
      stranger: certificate(directory, others, "stranger", "subjectAltName=DNS:sensor-7.plant"),
    });
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

/** A stream of bytes to a listener of that kind on loopback, handshakes done. It trusts whoever answers. */
export async function dial(
  wire: Wire,
  port: number,
  options: ConnectionOptions = {},
): Promise<Duplex> {
  if (wire === "tcp") return dialTcp(port);
  if (wire === "tls") return dialTls(port, options);
  return dialWebSocket(`${wire}://127.0.0.1:${port}/mqtt`, options);
}

export async function dialTcp(port: number): Promise<Socket> {
  const socket = connect({ port, host: "127.0.0.1", noDelay: true });
  await opened(socket, "connect");
  return socket;
}

export async function dialTls(port: number, options: ConnectionOptions = {}): Promise<TLSSocket> {
  const host = "127.0.0.1";
  const socket = connectTls({ port, host, rejectUnauthorized: false, ...options });
  socket.setNoDelay(true);
  await opened(socket, "secureConnect");
  return socket;
}

async function dialWebSocket(url: string, options: ConnectionOptions): Promise<Duplex> {
  const webSocket = new WebSocket(url, "mqtt", { rejectUnauthorized: false, ...options });
  const stream = createWebSocketStream(webSocket);
  stream.on("error", () => {});
  await opened(webSocket, "open");
  stream.on("end", () => stream.destroy());
  return stream;
}

interface Opening {
  once(event: string, listener: (error: Error) => void): unknown;
  on(event: "error", listener: () => void): unknown;
}

async function opened(stream: Opening, event: string): Promise<void> {
  const open = new Promise<void>((done, failed) => {
    stream.once(event, () => done());
    stream.once("error", failed);
    stream.once("close", () => failed(new Error(`closed before ${event}`)));
  });
  await within(60_000, `no ${event}`, open);
  stream.on("error", () => {});
}

/** The first bytes that a TLS client sends. */
export async function clientHello(): Promise<Buffer> {
  const server = createServer();
  server.listen({ host: "127.0.0.1", port: 0 });
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const client = connectTls({ port, host: "127.0.0.1", servername: "localhost" });
  client.on("error", () => {});
  const [socket] = (await once(server, "connection")) as [Socket];
  const [hello] = (await once(socket, "data")) as [Buffer];
  client.destroy();
  server.close();
  return hello;
}
