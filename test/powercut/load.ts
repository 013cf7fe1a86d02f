import type { Random } from "../../src/base/random.ts";
import { until } from "../support/until.ts";
import { type Books, Register } from "./books.ts";
import { ALL } from "./message.ts";
import { NumberedPublisher } from "./numbered-publisher.ts";
import { PersistentSubscriber } from "./persistent-subscriber.ts";
import { RetainedPublisher } from "./retained-publisher.ts";
import { WillClient, type WillEnd } from "./will-client.ts";

/** Publishes the last message of all, by which those who wait know that everything before it has come. */
export const LAST = "last";
/** Its subscriptions come and go; the one that it begins with stays. */
export const JOINER = "joiner";
/** Its session stands from the beginning, and it comes back only when all is over. */
const OFFLINE = "offline";
const PART_TIME = "part-time";
export const JOINER_STAYS = "sub/stays";
const JOINER_FILTERS = 8;
const RETAINED_TOPICS = 6;
const WINDOW_MAX = 12;
const WILL_ENDS: readonly WillEnd[] = ["stays", "drops", "says goodbye", "comes again"];

const NUMBERED = [
  { id: "one-a", qos: 1 },
  { id: "one-b", qos: 1 },
  { id: "two-a", qos: 2 },
  { id: "two-b", qos: 2 },
] as const;
export const PUBLISHERS = NUMBERED.length;

/** Books of a broker that nobody has spoken to yet. */
export function emptyBooks(): Books {
  const subscriber = (id: string) => ({ id, filters: new Map(), arrivals: [], holds: [] });
  const topics = Array.from({ length: RETAINED_TOPICS }, (_, k) => `ret/${k}`);
  return {
    publishers: [...NUMBERED, { id: LAST, qos: 1 } as const].map((publisher) => ({
      ...publisher,
      messages: [],
    })),
    subscribers: ["online", PART_TIME, OFFLINE, JOINER].map(subscriber),
    retained: new Map(topics.map((topic) => [topic, new Register<string | null>(null)])),
    wills: WILL_ENDS.map((_, k) => ({ id: `will-${k}`, connections: [] })),
    cloud: [],
  };
}

/** All that is going on at the gateway's clients: over restarts of the broker, one `round` after another. */
export class Load {
  readonly #publishers: readonly NumberedPublisher[];
  readonly #subscribers: readonly PersistentSubscriber[];
  readonly #retained: RetainedPublisher;
  readonly #wills: readonly WillClient[];
  readonly #random: Random;

  constructor(books: Books, position: () => number, random: Random) {
    this.#random = random;
    this.#publishers = books.publishers
      .filter(({ id }) => id !== LAST)
      .map((book) => new NumberedPublisher(book, position));
    this.#subscribers = books.subscribers.map((book) => new PersistentSubscriber(book, position));
    this.#retained = new RetainedPublisher(books.retained, position);
    this.#wills = books.wills.map(
      (book, k) => new WillClient(book, WILL_ENDS[k] as WillEnd, position),
    );
  }

  /** Messages that the publishers have sent. */
  get published(): number {
    return this.#publishers.reduce((sum, { book }) => sum + book.messages.length, 0);
  }

  /**
   * Connects everyone to a broker that has just started, and publishes until each publisher has so many messages more,
   * all acknowledged. Returns whether it came so far, or the broker has ended before.
   */
  async round(port: number, number: number, messages: number): Promise<boolean> {
    try {
      await this.#arrive(port, number);
    } catch (error) {
      // The broker may have been ended on purpose meanwhile; then all connections end.
      await this.#over();
      if (this.#anyUp) throw error;
      return false;
    }
    let publishing = true;
    const through = () => !publishing;
    const beside = [
      this.#retained.change(through, this.#random),
      this.#joinAndLeave(through),
      this.#endConnections(port, through),
    ];
    const published = await Promise.all(
      this.#publishers.map((publisher) =>
        publisher.publish(publisher.book.messages.length + messages, 1 + this.#below(WINDOW_MAX)),
      ),
    );
    publishing = false;
    await Promise.all(beside);
    return published.every(Boolean);
  }

  /** Resolves when the broker has ended all connections. */
  async ended(): Promise<void> {
    await this.#over();
  }

  async #arrive(port: number, number: number): Promise<void> {
    for (const subscriber of this.#subscribers) {
      const { id, filters } = subscriber.book;
      const isKnown = [...filters.values()].some(({ acknowledged }) => acknowledged > 0);
      const stays = id !== OFFLINE && (id !== PART_TIME || number % 2 === 1);
      if (isKnown && !stays) continue;
      await subscriber.connect(port);
      if (!isKnown) {
        await subscriber.subscribe(id === JOINER ? JOINER_STAYS : ALL, id === PART_TIME ? 1 : 2);
      }
      if (!stays) await subscriber.goodbye();
    }
    for (const will of this.#wills) await will.connect(port);
    await this.#retained.connect(port);
    for (const publisher of this.#publishers) await publisher.connect(port);
  }

  async #joinAndLeave(through: () => boolean): Promise<void> {
    const joiner = this.#subscribers.find(({ book }) => book.id === JOINER);
    while (joiner?.up && !through()) {
      const filter = `sub/${this.#below(JOINER_FILTERS)}/#`;
      const isThere = joiner.book.filters.get(filter)?.possible().at(-1) === true;
      await (isThere ? joiner.unsubscribe(filter) : joiner.subscribe(filter, 1));
    }
  }

  /** Clients with wills come and go at random moments. */
  async #endConnections(port: number, through: () => boolean): Promise<void> {
    while (!through()) {
      const at = this.published + 10 + this.#below(40);
      const isTime = () => through() || this.published >= at || !this.#anyUp;
      await until("some more published", isTime, 60_000);
      if (through() || !this.#anyUp) return;
      const will = this.#wills[this.#below(this.#wills.length)];
      try {
        await will?.again(port);
      } catch {
        return; // the broker has ended
      }
    }
  }

  get #anyUp(): boolean {
    return this.#publishers.some(({ up }) => up);
  }

  async #over(): Promise<void> {
    const all = [...this.#publishers, ...this.#subscribers, this.#retained, ...this.#wills];
    await Promise.all(all.map((client) => client.ended()));
  }

  #below(count: number): number {
    return Math.floor(this.#random() * count);
  }
}
