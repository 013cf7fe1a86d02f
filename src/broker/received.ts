/** Packet identifiers of the QoS 2 messages that came from one client, until PUBREL has freed them for good [MQTT-4.3.3-2]. */
export class Received {
  /** True when its message is kept. */
  readonly #ids = new Map<number, boolean>();
  /** Those that PUBREL has freed, until that is durable: before, nobody may believe it. */
  readonly #freeing = new Map<number, Promise<void>>();

  /** How many wait for PUBREL. */
  get size(): number {
    return this.#ids.size;
  }

  get ids(): Iterable<number> {
    return this.#ids.keys();
  }

  /** Whether the message under that identifier is kept; undefined when there is none. */
  get(packetId: number): boolean | undefined {
    return this.#ids.get(packetId);
  }

  came(packetId: number): void {
    this.#ids.set(packetId, false);
  }

  /** Its message is kept. Nothing is left behind by a client that sent PUBREL before it could know. */
  kept(packetId: number): void {
    if (this.#ids.has(packetId)) this.#ids.set(packetId, true);
  }

  /** It was kept by an earlier process, or at another gateway. */
  restore(packetId: number): void {
    this.#ids.set(packetId, true);
  }

  /**
   * PUBREL came, perhaps again. Null when the identifier is free; otherwise a promise that resolves when it is for good.
   * @param forget makes that durable; null where nothing is
   */
  free(packetId: number, forget: () => Promise<void> | null): Promise<void> | null {
    const freeing = this.#ids.delete(packetId) ? forget() : null;
    if (freeing === null) return this.#freeing.get(packetId) ?? null;
    this.#freeing.set(packetId, freeing);
    const done = () => {
      if (this.#freeing.get(packetId) === freeing) this.#freeing.delete(packetId);
    };
    freeing.then(done, done);
    return freeing;
  }
}
