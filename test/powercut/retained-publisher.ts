import type { Random } from "../../src/base/random.ts";
import { NEVER, type Register } from "./books.ts";
import { payloadOf } from "./message.ts";
import { Wakeup } from "./wakeup.ts";
import { WireClient } from "./wire-client.ts";

const ID = "keeper";
const DELETED_SHARE = 0.25;

/** Sets, changes and deletes retained messages at QoS 1, one change a topic at a time. */
export class RetainedPublisher {
  readonly #topics: ReadonlyMap<string, Register<string | null>>;
  readonly #position: () => number;
  readonly #client: WireClient;
  /** By packet identifier, what was sent and is not acknowledged. */
  readonly #open = new Map<
    number,
    { readonly topic: string; readonly change: { doneAt: number } }
  >();
  readonly #change = new Wakeup();
  #count = 0;
  #up = false;

  constructor(topics: ReadonlyMap<string, Register<string | null>>, position: () => number) {
    this.#topics = topics;
    this.#position = position;
    this.#client = new WireClient(position, {
      packet: (came, at) => {
        const open = this.#open.get(came.messageId ?? 0);
        if (came.cmd !== "puback" || open === undefined) return;
        open.change.doneAt = at;
        this.#open.delete(came.messageId ?? 0);
        this.#change.wake();
      },
      closed: () => {
        this.#up = false;
        this.#change.wake();
      },
    });
  }

  /** Connects. What was not acknowledged is not asked for again: its topic may have either value. */
  async connect(port: number): Promise<void> {
    this.#open.clear();
    await this.#client.connect(port, { clientId: ID });
    this.#up = true;
  }

  /** Goes on until `through()` says that it is enough, or the connection ends. */
  async change(through: () => boolean, random: Random): Promise<void> {
    const topics = [...this.#topics.keys()];
    while (this.#up && !through()) {
      const busy = new Set([...this.#open.values()].map(({ topic }) => topic));
      const free = topics.filter((topic) => !busy.has(topic));
      const topic = free[Math.floor(random() * free.length)];
      if (topic !== undefined) this.#send(topic, random() < DELETED_SHARE);
      if (free.length <= topics.length / 2) await this.#change.next();
    }
    while (this.#up && this.#open.size > 0) await this.#change.next();
  }

  ended(): Promise<void> {
    return this.#client.ended();
  }

  #send(topic: string, isDelete: boolean): void {
    const n = this.#count++;
    const value = isDelete ? null : payloadOf(ID, n);
    const messageId = 1 + (n % 65_535);
    const register = this.#topics.get(topic) as Register<string | null>;
    // A change that was cut off counts as asked for and never answered.
    const change = register.change(value, this.#position());
    if (change.doneAt === NEVER) this.#open.set(messageId, { topic, change });
    const payload = value ?? "";
    this.#client.send({
      cmd: "publish",
      topic,
      payload,
      qos: 1,
      messageId,
      retain: true,
      dup: false,
    });
  }
}
