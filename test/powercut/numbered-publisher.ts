import type { Packet } from "mqtt-packet";
import { NEVER, type Published, type PublisherBook } from "./books.ts";
import { payloadOf, topicOf } from "./message.ts";
import { Wakeup } from "./wakeup.ts";
import { WireClient } from "./wire-client.ts";

/**
 * Publishes its numbered messages, and after a new connection goes on where the old one ended: what was not acknowledged
 * is sent again, in order, under its packet identifier [MQTT-4.4.0-1].
 */
export class NumberedPublisher {
  readonly book: PublisherBook;
  readonly #position: () => number;
  readonly #client: WireClient;
  #up = false;
  /** All before it are done. */
  #firstOpen = 0;
  #allowed = 0;
  #windowMax = 0;
  readonly #change = new Wakeup();

  constructor(book: PublisherBook, position: () => number) {
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

  /** Connects and repeats what is open. Returns session present. */
  async connect(port: number): Promise<boolean> {
    const { sessionPresent } = await this.#client.connect(port, { clientId: this.book.id });
    this.#up = true;
    this.#skipDone();
    const { messages } = this.book;
    for (let n = this.#firstOpen; n < messages.length; n++) {
      const message = messages[n] as Published;
      if (message.doneAt !== NEVER) continue;
      if (message.keptAt === NEVER) this.#client.send(this.#publish(n, true));
      else this.#client.send({ cmd: "pubrel", messageId: packetId(n) });
    }
    return sessionPresent;
  }

  /** Publishes until there are `total`, so many at a time. Resolves when all are done (true) or the connection ended. */
  async publish(total: number, windowMax: number): Promise<boolean> {
    this.#allowed = total;
    this.#windowMax = windowMax;
    this.#pump();
    while (this.#up && this.#firstOpen < total) {
      await this.#change.next();
    }
    return this.#firstOpen >= total;
  }

  goodbye(): Promise<void> {
    return this.#client.goodbye();
  }

  ended(): Promise<void> {
    return this.#client.ended();
  }

  #pump(): void {
    const { messages } = this.book;
    while (
      this.#up &&
      messages.length < this.#allowed &&
      messages.length - this.#firstOpen < this.#windowMax
    ) {
      const n = messages.length;
      messages.push({ sentAt: this.#position(), keptAt: NEVER, doneAt: NEVER });
      this.#client.send(this.#publish(n, false));
    }
  }

  #publish(n: number, dup: boolean): Packet {
    const { id, qos } = this.book;
    const [topic, payload, messageId] = [topicOf(id, n), payloadOf(id, n), packetId(n)];
    return { cmd: "publish", topic, payload, messageId, qos, dup, retain: false };
  }

  #came(came: Packet, at: number): void {
    if (came.cmd !== "puback" && came.cmd !== "pubrec" && came.cmd !== "pubcomp") return;
    const message = this.#openWith(came.messageId ?? 0);
    if (message === undefined) return;
    if (message.keptAt === NEVER) message.keptAt = at;
    if (came.cmd === "pubrec") {
      this.#client.send({ cmd: "pubrel", messageId: came.messageId ?? 0 });
      return;
    }
    message.doneAt = at;
    this.#skipDone();
    this.#pump();
    this.#change.wake();
  }

  #openWith(id: number): Published | undefined {
    const { messages } = this.book;
    for (let n = this.#firstOpen; n < messages.length; n++) {
      const message = messages[n] as Published;
      if (packetId(n) === id && message.doneAt === NEVER) return message;
    }
    return undefined;
  }

  #skipDone(): void {
    const { messages } = this.book;
    while ((messages[this.#firstOpen]?.doneAt ?? NEVER) !== NEVER) this.#firstOpen++;
  }
}

function packetId(n: number): number {
  return 1 + (n % 65_535);
}
