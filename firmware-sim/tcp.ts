import { createServer, type Server, type Socket } from "node:net";
import type { Plug } from "./plug.ts";

const BACKLOG_BYTES_MAX = 4096;

/**
 * A serial server on loopback, as ser2net in raw mode: whoever connects gets the sensor's bytes from then on. One client at a
 * time; a later one is refused. Pulling the plug closes the listener and the connection; plugging in takes the same port.
 */
export async function tcpPlug(): Promise<Plug> {
  let client: Socket | null = null;
  let server: Server | null = null;
  let listener: (bytes: Uint8Array) => void = () => {};
  const accept = (socket: Socket) => {
    if (client !== null) {
      socket.destroy();
      return;
    }
    client = socket;
    socket.setNoDelay(true);
    socket.on("error", () => {}); // Followed by close.
    socket.on("close", () => {
      if (client === socket) client = null;
    });
    socket.on("data", (chunk: Buffer) => listener(chunk));
  };
  server = await listening(0, accept);
  const port = portOf(server);
  return {
    port: `tcp://127.0.0.1:${port}`,
    write(bytes) {
      if (client === null || client.writableLength > BACKLOG_BYTES_MAX) return false;
      client.write(bytes);
      return true;
    },
    hear(by) {
      listener = by;
    },
    async plugIn() {
      server ??= await listening(port, accept);
    },
    async pull() {
      const closing = server;
      server = null;
      client?.destroy();
      client = null;
      if (closing !== null) await new Promise((resolve) => closing.close(resolve));
    },
  };
}

function listening(port: number, accept: (socket: Socket) => void): Promise<Server> {
  const server = createServer(accept);
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, "127.0.0.1", () => resolve(server));
  });
}

function portOf(server: Server): number {
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("the server has no port");
  return address.port;
}
