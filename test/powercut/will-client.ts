import { NEVER, type WillBook } from "./books.ts";
import { payloadOf } from "./message.ts";
import { WireClient } from "./wire-client.ts";

/** How a client with a will ends its connections. */
export type WillEnd = "stays" | "drops" | "says goodbye" | "comes again";

/** A client that leaves a will, another one with each connection. */
export class WillClient {
  readonly book: WillBook;
  readonly end: WillEnd;
  readonly #position: () => number;
  #client: WireClient | null = null;

  constructor(book: WillBook, end: WillEnd, position: () => number) {
    this.book = book;
    this.end = end;
    this.#position = position;
  }

  async connect(port: number): Promise<void> {
    const { id, connections } = this.book;
    const client = new WireClient(this.#position, { packet: () => {}, closed: () => {} });
    const will = {
      topic: `pc/${id}`,
      payload: Buffer.from(payloadOf(id, connections.length)),
      qos: 1,
      retain: false,
    } as const;
    const { at } = await client.connect(port, { clientId: id, clean: true, will });
    connections.push({ connackAt: at, goodbyeAt: NEVER });
    this.#client = client;
  }

  /** Ends the connection as this one does, and comes back at once unless it stays. */
  async again(port: number): Promise<void> {
    const old = this.#client;
    if (old === null || this.end === "stays") return;
    if (this.end === "drops") await old.drop();
    if (this.end === "says goodbye") {
      const connection = this.book.connections.at(-1);
      if (connection !== undefined) connection.goodbyeAt = this.#position();
      await old.goodbye();
    }
    await this.connect(port); // one that comes again takes over from itself [MQTT-3.1.4-2]
  }

  async ended(): Promise<void> {
    await this.#client?.ended();
  }
}
