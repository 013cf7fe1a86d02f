import type { IPublishPacket, Packet } from "mqtt-packet";
import { NEVER, Register, type SubscriberBook } from "./books.ts";
import { identify } from "./message.ts";
import { Wakeup } from "./wakeup.ts";
import { WireClient } from "./wire-client.ts";

/** A client with a persistent session that keeps its own half of it: what it holds of QoS 2 is not taken twice. */
export class PersistentSubscriber {
  readonly book: SubscriberBook;
  readonly #position: () => number;
  readonly #client: WireClient;
  readonly #held = new Map<number, SubscriberBook["holds"][number]>();
  readonly #asked = new Map<number, (at: number) => void>();
  #nextId = 1;
  #up = false;
  readonly #change = new Wakeup();

  constructor(book: SubscriberBook, position: () => number) {
    this.book = book;
    this.#position = position;
    this.#client = new WireClient(position, {
      packet: (came, at) => this.#came(came, at),
      closed: () => {
        this.#up = false;
        this.#change.wake();
      },
    });
  }

  get up(): boolean {
    return this.#up;
  }

  /** Returns session present. */
  async connect(port: number): Promise<boolean> {
    this.#asked.clear();
    this.#held.clear();
    for (const hold of this.book.holds) {
      if (hold.releasedAt === NEVER) this.#held.set(hold.packetId, hold);
    }
    const { sessionPresent } = await this.#client.connect(port, { clientId: this.book.id });
    this.#up = true;
    return sessionPresent;
  }

  /** Resolves when SUBACK came (true) or the connection ended. */
  subscribe(filter: string, qos: 1 | 2): Promise<boolean> {
    const messageId = this.#nextId++;
    const subscriptions = [{ topic: filter, qos }];
    return this.#ask(filter, true, { cmd: "subscribe", messageId, subscriptions });
  }

  unsubscribe(filter: string): Promise<boolean> {
    const messageId = this.#nextId++;
    return this.#ask(filter, false, { cmd: "unsubscribe", messageId, unsubscriptions: [filter] });
  }

  /** Resolves when that message has come (true), or the connection ended. */
  async arrival(key: string): Promise<boolean> {
    let looked = 0;
    const { arrivals } = this.book;
    for (;;) {
      while (looked < arrivals.length) if (arrivals[looked++]?.key === key) return true;
      if (!this.#up) return false;
      await this.#change.next();
    }
  }

  goodbye(): Promise<void> {
    return this.#client.goodbye();
  }

  ended(): Promise<void> {
    return this.#client.ended();
  }

  async #ask(
    filter: string,
    value: boolean,
    packet: Packet & { messageId: number },
  ): Promise<boolean> {
    const register = this.book.filters.get(filter) ?? new Register(false);
    this.book.filters.set(filter, register);
    const change = register.change(value, this.#position());
    this.#asked.set(packet.messageId, (at) => {
      change.doneAt = at;
    });
    this.#client.send(packet);
    while (this.#up && change.doneAt === NEVER) {
      await this.#change.next();
    }
    return change.doneAt !== NEVER;
  }

  #came(came: Packet, at: number): void {
    const messageId = came.messageId ?? 0;
    if (came.cmd === "publish") this.#message(came, at);
    else if (came.cmd === "pubrel") {
      const hold = this.#held.get(messageId);
      if (hold !== undefined) hold.releasedAt = at;
      this.#held.delete(messageId);
      this.#client.send({ cmd: "pubcomp", messageId });
    } else if (came.cmd === "suback" || came.cmd === "unsuback") {
      this.#asked.get(messageId)?.(at);
    }
    this.#change.wake();
  }

  #message({ topic, payload, qos, messageId = 0 }: IPublishPacket, at: number): void {
    const isHeld = qos === 2 && this.#held.has(messageId);
    if (!isHeld) this.book.arrivals.push({ ...identify(payload.toString()), topic, at });
    if (qos === 1) this.#client.send({ cmd: "puback", messageId });
    if (qos !== 2) return;
    if (!isHeld) {
      const hold = { packetId: messageId, at, releasedAt: NEVER };
      this.book.holds.push(hold);
      this.#held.set(messageId, hold);
    }
    this.#client.send({ cmd: "pubrec", messageId });
  }
}
