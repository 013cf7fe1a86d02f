import { once } from "node:events";
import { createServer } from "node:net";
import { Aedes } from "aedes";

/** A stand-in for the cloud: an MQTT broker on loopback that counts what it is given. */
export interface DemoCloud {
  readonly port: number;
  /** Distinct messages, told apart by topic and payload. */
  received(): number;
  stop(): Promise<void>;
}

const REMEMBERED_MAX = 100_000;

export async function startDemoCloud(): Promise<DemoCloud> {
  const broker = await Aedes.createBroker();
  const server = createServer((socket) => broker.handle(socket));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");

  const lately = new Set<string>();
  let received = 0;
  broker.on("publish", (packet, client) => {
    if (client === null) return;
    const message = `${packet.topic} ${packet.payload}`;
    if (lately.has(message)) return;
    if (lately.size >= REMEMBERED_MAX) lately.clear();
    lately.add(message);
    received++;
  });
  return {
    port: address.port,
    received: () => received,
    async stop() {
      const closed = once(server, "close");
      server.close();
      await new Promise<void>((resolve) => broker.close(() => resolve()));
      await closed;
    },
  };
}
