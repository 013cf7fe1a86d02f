import { within } from "../support/within.ts";
import type { Books, SubscriberBook } from "./books.ts";
import type { BrokerUnderTest } from "./broker-under-test.ts";
import { JOINER, JOINER_STAYS, LAST } from "./load.ts";
import { ALL } from "./message.ts";
import { NumberedPublisher } from "./numbered-publisher.ts";
import { PersistentSubscriber } from "./persistent-subscriber.ts";
import { Wakeup } from "./wakeup.ts";
import { WireClient } from "./wire-client.ts";

/** What was found at a broker after a crash, beside what went into the books. */
export interface Recovered {
  /** By client id, session present in CONNACK. */
  readonly sessionPresent: ReadonlyMap<string, boolean>;
  /** Retained messages by topic. */
  readonly retained: ReadonlyMap<string, string>;
  /** Filters of the joiner that still bring it messages. */
  readonly subscribed: ReadonlySet<string>;
  /** Subscribers with a session and a subscription whom the last message does not reach. */
  readonly deaf: readonly string[];
  /** What else was waited for in vain. */
  readonly stuck: readonly string[];
}

export const WAIT_MS_MAX = 10_000;
const RETAINED_END = "ret/end";

/**
 * Goes on where the books end: publishers repeat what is open, subscribers come back, and everything that the broker has
 * for anybody is fetched. Each waits for a last message, behind which nothing can be left, and for no time.
 */
export async function recover(
  books: Books,
  broker: BrokerUnderTest,
  port: number,
  position: () => number,
  waitMsMax: number = WAIT_MS_MAX,
): Promise<Recovered> {
  const sessionPresent = new Map<string, boolean>();
  const deaf: string[] = [];
  const stuck: string[] = [];
  // An end of the connection is no answer: what was waited for did not come.
  const waited = (what: string, work: Promise<unknown>, inVain = stuck) =>
    within(waitMsMax, what, work).then(
      (came) => came === false && inVain.push(`${what}: the connection ended`),
      (error: Error) => inVain.push(error.message),
    );

  const publishers = books.publishers.map((book) => new NumberedPublisher(book, position));
  for (const publisher of publishers) {
    const { id, messages } = publisher.book;
    sessionPresent.set(id, await publisher.connect(port));
    const total = messages.length + (id === LAST ? 1 : 0);
    // The last message goes out when all others are kept.
    await waited(`${id} is not answered`, publisher.publish(total, total));
  }
  const last = books.publishers.find(({ id }) => id === LAST)?.messages.length ?? 0;
  const key = `${LAST}/${last - 1}`;
  const subscribers = books.subscribers.map((book) => new PersistentSubscriber(book, position));
  for (const subscriber of subscribers) {
    const { book } = subscriber;
    const isPresent = await subscriber.connect(port);
    sessionPresent.set(book.id, isPresent);
    const waits = isPresent && isSubscribed(book, ALL);
    if (waits) await waited(`${book.id} does not get ${key}`, subscriber.arrival(key), deaf);
  }
  if (broker.cloud) await waited(`the cloud does not get ${key}`, broker.cloud.arrival(key));
  const retained = new Map<string, string>();
  await waited("the retained messages do not come", readRetained(port, retained));
  const joiner = subscribers.find(({ book }) => book.id === JOINER);
  const subscribed = new Set<string>();
  if (joiner && sessionPresent.get(JOINER)) {
    const what = `${JOINER} does not get the probes`;
    await waited(what, probe(port, joiner, subscribed), deaf);
  }
  await Promise.all([...publishers, ...subscribers].map((client) => client.goodbye()));
  return { sessionPresent, retained, subscribed, deaf, stuck };
}

/** Whether the broker has acknowledged that subscription, and nothing was asked for since. */
function isSubscribed({ filters }: SubscriberBook, filter: string): boolean {
  const possible = filters.get(filter)?.possible() ?? [false];
  return possible.every(Boolean);
}

/** A client that publishes to itself: its own message comes when all retained ones have. */
async function readRetained(port: number, found: Map<string, string>): Promise<void> {
  const ended = new Wakeup();
  const client = new WireClient(() => 0, {
    packet: (came) => {
      if (came.cmd === "suback") {
        client.send({
          cmd: "publish",
          topic: RETAINED_END,
          payload: "",
          qos: 1,
          messageId: 2,
          dup: false,
          retain: false,
        });
      }
      if (came.cmd !== "publish") return;
      client.send({ cmd: "puback", messageId: came.messageId ?? 0 });
      if (came.topic === RETAINED_END) ended.wake();
      else found.set(came.topic, came.payload.toString());
    },
    closed: () => {},
  });
  const end = ended.next();
  await client.connect(port, { clientId: "reader", clean: true });
  const subscriptions = [{ topic: "ret/#", qos: 1 as const }];
  client.send({ cmd: "subscribe", messageId: 1, subscriptions });
  await end;
  await client.goodbye();
}

/** Publishes to each filter of the joiner, last to the one that stays. */
async function probe(
  port: number,
  joiner: PersistentSubscriber,
  subscribed: Set<string>,
): Promise<boolean> {
  if (!isSubscribed(joiner.book, JOINER_STAYS)) return true;
  const { arrivals, filters } = joiner.book;
  const from = arrivals.length;
  const client = new WireClient(() => 0, { packet: () => {}, closed: () => {} });
  await client.connect(port, { clientId: "prober", clean: true });
  const others = [...filters.keys()].filter((filter) => filter !== JOINER_STAYS);
  for (const [k, filter] of [...others, JOINER_STAYS].entries()) {
    const topic = filter.replace("#", "probe");
    const payload = `probe-${from}/${k}`;
    client.send({
      cmd: "publish",
      topic,
      payload,
      qos: 1,
      messageId: k + 1,
      dup: false,
      retain: false,
    });
  }
  const came = await joiner.arrival(`probe-${from}/${others.length}`);
  for (const { topic } of arrivals.slice(from)) subscribed.add(topic.replace("probe", "#"));
  await client.goodbye();
  return came;
}
