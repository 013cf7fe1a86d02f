import { connect, type Socket } from "node:net";
import { FieldgateError } from "../base/errors.ts";
import {
  type OpenPort,
  type Port,
  type PortListener,
  type PortTrouble,
  portError,
} from "./port.ts";

/** Keep-alive probes notice a serial server that went away without a word. */
const KEEP_ALIVE_MS = 15_000;

/**
 * The port of a serial server that passes bytes through, such as ser2net in raw mode.
 * `address` is tcp://host:port; anything else is ERR_CONFIG_INVALID.
 */
export function netPort(address: string): Port {
  const { host, port } = parseAddress(address);
  return {
    async open(listener, signal) {
      signal.throwIfAborted();
      const socket = connect({
        host,
        port,
        noDelay: true,
        keepAliveInitialDelay: KEEP_ALIVE_MS,
        keepAlive: true,
      });
      await connected(socket, address, signal);
      return opened(socket, address, listener);
    },
  };
}

function connected(socket: Socket, address: string, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const done = () => {
      signal.removeEventListener("abort", onAbort);
      socket.removeListener("error", onError);
      socket.removeListener("connect", onConnect);
    };
    const onAbort = () => {
      done();
      socket.on("error", () => {}); // Of a socket that nobody wants any more.
      socket.destroy();
      reject(signal.reason);
    };
    const onError = (error: NodeJS.ErrnoException) => {
      done();
      reject(portError(TROUBLE[error.code ?? ""] ?? "failed", address, error));
    };
    const onConnect = () => {
      done();
      socket.pause();
      resolve();
    };
    signal.addEventListener("abort", onAbort, { once: true });
    socket.once("error", onError);
    socket.once("connect", onConnect);
  });
}

function opened(socket: Socket, address: string, listener: PortListener): OpenPort {
  let closing = false;
  let cause: Error | undefined;
  const closed = new Promise<void>((resolve) => {
    socket.once("close", () => {
      if (!closing) listener.lost(portError("unplugged", address, cause));
      resolve();
    });
  });
  socket.on("error", (error) => {
    cause = error;
  });
  socket.on("data", (chunk) => {
    if (!closing) listener.data(chunk);
  });
  // Half a connection is of no use: the far end's FIN is the cable being pulled.
  socket.on("end", () => socket.destroy());
  socket.pause();
  return {
    pause: () => socket.pause(),
    resume: () => socket.resume(),
    write: (bytes) =>
      new Promise((resolve, reject) => {
        socket.write(bytes, (error) => {
          if (error) reject(portError("unplugged", address, error));
          else resolve();
        });
      }),
    close() {
      closing = true;
      // With a reset the system forgets what it still has to send.
      if (socket.writableLength > 0) socket.resetAndDestroy();
      else socket.destroy();
      return closed;
    },
  };
}

function parseAddress(address: string): { host: string; port: number } {
  const url = URL.canParse(address) ? new URL(address) : null;
  const port = Number(url?.port ?? "");
  if (url?.protocol !== "tcp:" || url.hostname === "" || url.port === "" || port === 0) {
    throw new FieldgateError(
      "ERR_CONFIG_INVALID",
      `${address}: a serial server is tcp://host:port`,
      {
        details: { port: address },
      },
    );
  }
  return { host: url.hostname.replace(/^\[(.*)\]$/, "$1"), port };
}

const TROUBLE: Readonly<Record<string, PortTrouble>> = {
  ECONNREFUSED: "connection-refused",
  ENOTFOUND: "unreachable",
  EAI_AGAIN: "unreachable",
  EHOSTUNREACH: "unreachable",
  ENETUNREACH: "unreachable",
  EHOSTDOWN: "unreachable",
  ETIMEDOUT: "timeout",
};
