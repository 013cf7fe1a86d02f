import { once } from "node:events";
import { createServer, type Socket } from "node:net";
import { Aedes } from "aedes";
import type { Side } from "./oracle-play.ts";

/** Stock aedes on its own memory, on loopback, for as long as `use` runs. */
export async function withAedes<T>(use: (side: Side) => Promise<T>): Promise<T> {
  const broker = await Aedes.createBroker();
  const sockets = new Set<Socket>();
  const server = createServer({ noDelay: true }, (socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
    broker.handle(socket);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  try {
    // It acknowledges first and works later: it gets the time of two acknowledgements for that.
    return await use({ port, barriers: 2, connections: () => broker.connectedClients });
  } finally {
    await new Promise<void>((resolve) => broker.close(resolve));
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  }
}
