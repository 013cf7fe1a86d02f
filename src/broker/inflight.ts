/**
 * What is in flight, by packet identifier: a ring in which an identifier's place is its lower bits. Identifiers in flight
 * lie close together, so two meet in one place only when some have stayed behind; the ring doubles then.
 *
 * Not a Map: one that is filled and emptied all the time grows a new table now and then, and each table that was left keeps
 * the next one, and all that is in it, until the next full collection.
 */
export class Inflight<T extends { readonly packetId: number }> {
  #slots: (T | undefined)[] = [];
  /** For each place, when its item was added. */
  #order: number[] = [];
  #added = 0;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  get(packetId: number): T | undefined {
    const item = this.#slots[packetId & (this.#slots.length - 1)];
    return item?.packetId === packetId ? item : undefined;
  }

  /** Adds an item whose identifier is not in use. */
  add(item: T): void {
    while (this.#slots.length === 0 || this.#slots[this.#place(item)] !== undefined) this.#grow();
    const place = this.#place(item);
    this.#slots[place] = item;
    this.#order[place] = ++this.#added;
    this.#size++;
  }

  delete(packetId: number): void {
    if (this.get(packetId) === undefined) return;
    this.#slots[packetId & (this.#slots.length - 1)] = undefined;
    this.#size--;
  }

  /** All items, in no order. */
  each(found: (item: T) => void): void {
    for (const item of this.#slots) if (item !== undefined) found(item);
  }

  /** All items, in the order in which they were added. */
  all(): T[] {
    const places = [...this.#slots.keys()].filter((place) => this.#slots[place] !== undefined);
    const order = (place: number) => this.#order[place] as number;
    return places.sort((a, b) => order(a) - order(b)).map((place) => this.#slots[place] as T);
  }

  #place({ packetId }: T): number {
    return packetId & (this.#slots.length - 1);
  }

  #grow(): void {
    const [slots, order] = [this.#slots, this.#order];
    const size = Math.max(SLOTS_MIN, slots.length * 2);
    this.#slots = new Array(size).fill(undefined);
    this.#order = new Array(size).fill(0);
    for (const [at, item] of slots.entries()) {
      if (item === undefined) continue;
      this.#slots[this.#place(item)] = item;
      this.#order[this.#place(item)] = order[at] as number;
    }
  }
}

const SLOTS_MIN = 16;

/** Packet identifiers up to here belong to a session's durable queue, the others to what else is sent. */
const QUEUE_ID_MAX = 32_767;

/** The packet identifier of a message of a durable queue. */
export function queuePacketId(index: number): number {
  return 1 + ((index - 1) % QUEUE_ID_MAX);
}

/** The packet identifiers of what does not come from the durable queue, each in turn. */
export class MemoryIds {
  readonly #inflight: Inflight<{ readonly packetId: number }>;
  #last = QUEUE_ID_MAX;

  constructor(inflight: Inflight<{ readonly packetId: number }>) {
    this.#inflight = inflight;
  }

  /** One that is not in flight [MQTT-2.3.1-4]. */
  next(): number {
    do {
      this.#last = this.#last === 65_535 ? QUEUE_ID_MAX + 1 : this.#last + 1;
    } while (this.#inflight.get(this.#last) !== undefined);
    return this.#last;
  }
}
