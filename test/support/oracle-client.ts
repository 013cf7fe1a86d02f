import type { QoS } from "../../src/mqtt/message.ts";
import { ack, publish } from "./mqtt-words.ts";
import type { Asked, Said } from "./oracle-script.ts";
import { RawClient } from "./raw-client.ts";

/** A message as a client got it. */
export interface Delivery {
  readonly topic: string;
  readonly payload: string;
  readonly qos: QoS;
  readonly retain: boolean;
  readonly dup: boolean;
}

/** A client that does as the standard says: acknowledges what it gets, unless hushed, and completes what it sends. */
export class OracleClient {
  readonly raw: RawClient;
  readonly sessionPresent: boolean;
  hushed = false;
  /** What came since this was emptied last. */
  delivered: Delivery[] = [];
  #looked = 0;
  #messageId = 0;

  private constructor(raw: RawClient, sessionPresent: boolean) {
    this.raw = raw;
    this.sessionPresent = sessionPresent;
  }

  static async connected(
    port: number,
    clientId: string,
    clean: boolean,
    said: Said | null = null,
  ): Promise<OracleClient> {
    const will = said === null ? {} : { will: { ...said, payload: Buffer.from(said.payload) } };
    const raw = await RawClient.connected(port, { clientId, clean, ...will });
    const connack = raw.received.find(({ cmd }) => cmd === "connack");
    return new OracleClient(raw, connack?.cmd === "connack" && connack.sessionPresent);
  }

  /** Resolves with what was granted, in order. */
  async subscribe(filters: readonly Asked[]): Promise<readonly unknown[]> {
    this.raw.send({ cmd: "subscribe", messageId: this.#nextId(), subscriptions: [...filters] });
    return (await this.raw.next("suback")).granted;
  }

  async unsubscribe(filters: readonly string[]): Promise<void> {
    this.raw.send({ cmd: "unsubscribe", messageId: this.#nextId(), unsubscriptions: [...filters] });
    await this.raw.next("unsuback");
  }

  /** Sends all in one segment. */
  publish(messages: readonly Said[]): void {
    const packets = messages.map(({ topic, payload, qos, retain }) => {
      const id = qos === 0 ? undefined : this.#nextId();
      return { ...publish(topic, payload, qos, id), retain };
    });
    this.raw.send(...packets);
  }

  /** Answers what came since last time; returns how many packets that were, answers to PINGREQ aside. */
  answer(): number {
    let count = 0;
    for (; this.#looked < this.raw.received.length; this.#looked++) {
      const came = this.raw.received[this.#looked];
      if (came === undefined || came.cmd === "pingresp") continue;
      count++;
      if (came.cmd === "pubrec") this.raw.send(ack("pubrel", came.messageId));
      if (came.cmd === "pubrel" && !this.hushed) this.raw.send(ack("pubcomp", came.messageId));
      if (came.cmd !== "publish") continue;
      const { topic, qos, retain, dup } = came;
      this.delivered.push({ topic, payload: came.payload.toString(), qos, retain, dup });
      if (qos > 0 && !this.hushed) {
        this.raw.send(ack(qos === 1 ? "puback" : "pubrec", came.messageId));
      }
    }
    return count;
  }

  #nextId(): number {
    this.#messageId = (this.#messageId % 65_535) + 1;
    return this.#messageId;
  }
}
