import { once } from "node:events";
import { createServer } from "node:net";

/** Below 32768, where Linux takes the near ends of outgoing connections from: one of those may have the port while its program is down. */
const FIRST = 20_000;
const COUNT = 12_000;

/** A port that nobody listens on now: for programs that must be found again on the same one after a restart. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = FIRST + Math.floor(Math.random() * COUNT);
    const server = createServer();
    const isFree = await new Promise<boolean>((resolve) => {
      server.once("error", () => resolve(false));
      server.listen(port, "127.0.0.1", () => resolve(true));
    });
    if (!isFree) continue;
    server.close();
    await once(server, "close");
    return port;
  }
}
