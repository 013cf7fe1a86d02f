import { once } from "node:events";
import { createConnection, createServer, type Server, type Socket } from "node:net";

/**
 * What the way through the proxy is like:
 *
 *   clear      everything passes
 *   stalled    nothing passes and nothing is read: the sender's buffers fill; it passes later, when it is clear again
 *   blackhole  everything is read and thrown away, in both directions; the connection stays, and passes nothing ever
 *              again: TCP has no holes in its stream. New connections fare as the way then is
 *   swallows   a blackhole in one direction: up is towards the target
 *   slow       what passes is limited to `bytesPerSecond` in each direction
 */
export type Way =
  | "clear"
  | "stalled"
  | "blackhole"
  | { readonly swallows: "up" | "down" }
  | { readonly bytesPerSecond: number };

/** A TCP proxy with faults that the tests call for. One way for all its connections. */
export class FaultyProxy {
  readonly #target: () => number;
  readonly #server: Server;
  readonly #pairs = new Set<Pair>();
  #way: Way = "clear";
  connections = 0;

  private constructor(target: () => number) {
    this.#target = target;
    this.#server = createServer({ allowHalfOpen: true }, (near) => this.#accept(near));
  }

  /** Listens on a free port of loopback and passes on to `target`, asked for each connection. */
  static async start(target: () => number): Promise<FaultyProxy> {
    const proxy = new FaultyProxy(target);
    proxy.#server.listen(0, "127.0.0.1");
    await once(proxy.#server, "listening");
    return proxy;
  }

  get port(): number {
    const address = this.#server.address();
    if (address === null || typeof address === "string") throw new Error("the proxy is closed");
    return address.port;
  }

  set way(way: Way) {
    this.#way = way;
    for (const pair of this.#pairs) pair.set(way);
  }

  /** Ends all connections at once, as a reset does. What was under way is lost. */
  cut(): void {
    for (const pair of [...this.#pairs]) pair.destroy();
  }

  /** Ends all connections once so many bytes more have gone towards the target: in the middle of a packet, mostly. */
  cutAfter(bytes: number): void {
    for (const pair of this.#pairs) pair.cutAfter(bytes);
  }

  /**
   * Ends one direction only. `down`: from the cloud to the gateway: acknowledgements stop, data still flows. `up`: the
   * cloud is told that nothing more comes, and may still acknowledge.
   */
  halfClose(direction: "down" | "up" = "down"): void {
    for (const pair of this.#pairs) pair.halfClose(direction);
  }

  async stop(): Promise<void> {
    this.cut();
    this.#server.close();
    await once(this.#server, "close");
  }

  #accept(near: Socket): void {
    this.connections++;
    const far = createConnection({ host: "127.0.0.1", port: this.#target(), allowHalfOpen: true });
    const pair = new Pair(near, far, () => this.#pairs.delete(pair));
    this.#pairs.add(pair);
    pair.set(this.#way);
  }
}

class Pair {
  readonly #near: Socket;
  readonly #far: Socket;
  readonly #gone: () => void;
  #way: Way = "clear";
  #timers = new Set<NodeJS.Timeout>();
  /** How many bytes more may go towards the target. */
  #bytesLeft = Number.POSITIVE_INFINITY;

  constructor(near: Socket, far: Socket, gone: () => void) {
    this.#near = near;
    this.#far = far;
    this.#gone = gone;
    this.#pass(near, far);
    this.#pass(far, near);
    for (const socket of [near, far]) {
      socket.on("error", () => this.destroy());
      socket.on("close", () => this.destroy());
    }
  }

  set(way: Way): void {
    if (swallows(this.#way, "up") || swallows(this.#way, "down")) return;
    this.#way = way;
    for (const socket of [this.#near, this.#far]) {
      if (way === "stalled") socket.pause();
      else socket.resume();
    }
  }

  cutAfter(bytes: number): void {
    this.#bytesLeft = Math.min(this.#bytesLeft, bytes);
  }

  halfClose(direction: "down" | "up"): void {
    if (direction === "down") this.#near.end();
    else this.#far.end();
  }

  destroy(): void {
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers.clear();
    this.#near.destroy();
    this.#far.destroy();
    this.#gone();
  }

  #pass(from: Socket, to: Socket): void {
    from.on("data", (chunk) => {
      const direction = from === this.#near ? "up" : "down";
      if (swallows(this.#way, direction)) return;
      const passes = from === this.#near ? this.#spend(chunk) : chunk;
      if (to.writable) to.write(passes);
      if (passes.length < chunk.length) {
        to.once("drain", () => this.destroy());
        if (!to.writableNeedDrain) setImmediate(() => this.destroy());
        return;
      }
      if (typeof this.#way === "object" && "bytesPerSecond" in this.#way) {
        this.#brake(from, chunk.length, this.#way.bytesPerSecond);
      }
    });
    from.on("end", () => {
      if (this.#way !== "blackhole") to.end();
    });
  }

  /** The part of a chunk that may still pass. */
  #spend(chunk: Buffer): Buffer {
    const passes = chunk.subarray(0, this.#bytesLeft);
    this.#bytesLeft -= passes.length;
    return passes;
  }

  /** Reads no further until the chunk's time has passed. */
  #brake(from: Socket, bytes: number, bytesPerSecond: number): void {
    from.pause();
    const timer = setTimeout(
      () => {
        this.#timers.delete(timer);
        if (this.#way !== "stalled") from.resume();
      },
      (bytes / bytesPerSecond) * 1000,
    );
    this.#timers.add(timer);
  }
}

function swallows(way: Way, direction: "up" | "down"): boolean {
  if (way === "blackhole") return true;
  return typeof way === "object" && "swallows" in way && way.swallows === direction;
}
