import { connect, type Socket } from "node:net";
import type { Plug } from "./plug.ts";

const BACKLOG_BYTES_MAX = 65_536;
/** The far end has so long to hang up as well. */
const HANG_UP_MS_MAX = 1000;

/** The far end of a sensor that connects by itself: plugged in, it connects; pulled, it hangs up. */
export function dialPlug(host: string, port: number): Plug {
  let socket: Socket | null = null;
  let listener: (bytes: Uint8Array) => void = () => {};
  return {
    port: `tcp://${host}:${port}`,
    write(bytes) {
      if (!socket?.writable || socket.writableLength > BACKLOG_BYTES_MAX) return false;
      socket.write(bytes);
      return true;
    },
    hear(by) {
      listener = by;
    },
    /** Does not wait for the connection, and does not say that there is none: then nobody takes the bytes. */
    async plugIn() {
      if (socket !== null) return;
      const dialled = connect({ host, port, noDelay: true });
      socket = dialled;
      dialled.on("error", () => {}); // Followed by close.
      dialled.on("data", (chunk: Buffer) => listener(chunk));
    },
    async pull() {
      const hanging = socket;
      socket = null;
      if (hanging === null || hanging.closed) return;
      const closed = new Promise((resolve) => hanging.once("close", resolve));
      // What was written arrives first, as it did from the sensor: to close while answers are unread would reset the connection, and
      // the far end could lose what it has not read yet.
      hanging.end();
      const late = setTimeout(() => hanging.destroy(), HANG_UP_MS_MAX);
      await closed;
      clearTimeout(late);
    },
  };
}
