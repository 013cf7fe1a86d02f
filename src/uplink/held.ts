import type { DownRows } from "./seen.ts";

/**
 * Packet identifiers of QoS 2 whose message was taken and which the cloud has not released yet [MQTT-4.3.3-2], durable, each
 * with a digest of its message: a broker that has lost its session, or another one, may use the identifier for something new.
 */
export class Held {
  readonly #rows: DownRows;
  readonly #digests = new Map<number, string>();

  constructor(rows: DownRows) {
    this.#rows = rows;
  }

  async load(): Promise<void> {
    for await (const [key, value] of this.#rows.entries({ gte: "held/", lt: "held0" })) {
      this.#digests.set(Number(key.slice(5)), Buffer.from(value).toString("latin1"));
    }
  }

  get size(): number {
    return this.#digests.size;
  }

  has(packetId: number, digest: string): boolean {
    return this.#digests.get(packetId) === digest;
  }

  add(packetId: number, digest: string): Promise<void> {
    this.#digests.set(packetId, digest);
    return this.#rows.put(`held/${packetId}`, Buffer.from(digest, "latin1"));
  }

  /** Resolves when the identifier is free for good: only then may the PUBCOMP leave. */
  async release(packetId: number): Promise<void> {
    if (this.#digests.delete(packetId)) await this.#rows.del(`held/${packetId}`);
  }

  clear(): void {
    for (const packetId of this.#digests.keys()) {
      this.release(packetId).catch(() => undefined); // the digest keeps a row that stays from doing harm
    }
  }
}
