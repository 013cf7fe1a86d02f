import { readFile } from "node:fs/promises";
import { connect, type Socket } from "node:net";
import packet from "mqtt-packet";
import type { Subject } from "./brokers.ts";

const AT_ONCE = 50;
const SAMPLE_MS = 500;
const SAMPLES = 6;

/**
 * How much more resident memory a process has with so many connections that say nothing after their CONNECT.
 * @param isBroker false when nobody answers a CONNECT
 * @returns KiB for each connection
 */
export async function idleKiB(subject: Subject, count: number, isBroker: boolean): Promise<number> {
  const before = await leastKiB(subject.pid);
  const sockets: Socket[] = [];
  while (sockets.length < count) {
    const dialled = Array.from({ length: AT_ONCE }, (_, i) =>
      dial(subject.port, `idle-${sockets.length + i}`, isBroker),
    );
    sockets.push(...(await Promise.all(dialled)));
  }
  const after = await leastKiB(subject.pid);
  for (const socket of sockets) socket.destroy();
  return (after - before) / sockets.length;
}

/** The least of some samples: garbage that is still to be collected is not what is asked for. */
async function leastKiB(pid: number): Promise<number> {
  let least = Number.POSITIVE_INFINITY;
  for (let sample = 0; sample < SAMPLES; sample++) {
    await new Promise((resolve) => setTimeout(resolve, SAMPLE_MS));
    const status = await readFile(`/proc/${pid}/status`, "utf8");
    least = Math.min(least, Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]));
  }
  return least;
}

/** Resolves with the connection once it stands: with CONNACK where there is one. */
function dial(port: number, clientId: string, isBroker: boolean): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: "127.0.0.1", port, noDelay: true });
    socket.once("error", reject);
    socket.once(isBroker ? "data" : "connect", () => resolve(socket));
    socket.write(packet.generate({ cmd: "connect", clientId, clean: true, keepalive: 0 }));
  });
}
