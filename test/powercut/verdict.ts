import { type Books, NEVER, type SubscriberBook } from "./books.ts";
import { JOINER } from "./load.ts";
import { ALL, parseKey } from "./message.ts";
import type { Recovered } from "./recovery.ts";

/** What is wrong with a broker after a crash: each thing named. Where all lists are empty, it has kept its word. */
export interface Verdict {
  /** Acknowledged, and not come: "SUBSCRIBER or cloud: KEY". */
  readonly lostMessages: readonly string[];
  readonly lostWills: readonly string[];
  /** A topic has neither the value acknowledged last nor one sent after it. */
  readonly lostRetained: readonly string[];
  /** A filter that SUBACK has answered brings nothing, or one that UNSUBACK has answered still does. */
  readonly lostSubscriptions: readonly string[];
  readonly lostSessions: readonly string[];
  /** QoS 2 from end to end, and come twice. */
  readonly twice: readonly string[];
  readonly disordered: readonly string[];
  /** Not the bytes that were published. */
  readonly wrong: readonly string[];
  /** One (journal, seq) for two messages. */
  readonly identitiesReused: readonly string[];
  /** Missing in the midst of what came. */
  readonly holes: readonly string[];
  readonly deaf: readonly string[];
  readonly stuck: readonly string[];
  /** Messages of QoS 1 that came more than once, as they may. */
  readonly repeated: number;
  /** Acknowledgements before the crash. */
  readonly acknowledged: number;
}

/**
 * Compares what was promised with what was found.
 * @param before the books at the crash
 * @param after the same, continued by `recover`
 */
export function judge(
  before: Books,
  after: Books,
  found: Recovered,
  acknowledged: number,
): Verdict {
  const listeners = after.subscribers.filter((book) => subscribedAt(book) !== NEVER);
  const clouded = after.cloud.length > 0 || before.cloud.length > 0;
  const receivers = [
    ...listeners.map((book) => ({
      id: book.id,
      from: subscribedAt(book),
      arrivals: book.arrivals,
    })),
    ...(clouded ? [{ id: "cloud", from: 0, arrivals: after.cloud }] : []),
  ];
  const kept = keptMessages(after);
  const due = wills(before);
  const lostOf = (keys: readonly { key: string; sentAt: number }[]) =>
    receivers.flatMap(({ id, from, arrivals }) => {
      const came = new Set(arrivals.map(({ key }) => key));
      return keys
        .filter(({ key, sentAt }) => sentAt >= from && !came.has(key))
        .map(({ key }) => `${id}: ${key}`);
    });
  const counts = receivers.map(({ id, arrivals }) => ({ id, count: countOf(arrivals) }));
  return {
    lostMessages: lostOf(kept),
    lostWills: lostOf(due.map((key) => ({ key, sentAt: NEVER }))),
    lostRetained: [...before.retained]
      .filter(([topic, value]) => !value.possible().includes(found.retained.get(topic) ?? null))
      .map(([topic]) => topic),
    lostSubscriptions: lostSubscriptions(before, found),
    lostSessions: sessionsDue(before).filter((id) => found.sessionPresent.get(id) !== true),
    twice: listeners.flatMap((book) => twiceAt(book, after)),
    disordered: receivers.flatMap(({ id, arrivals }) => disorder(id, arrivals)),
    wrong: receivers.flatMap(({ id, arrivals }) =>
      arrivals.filter(({ isWhole }) => !isWhole).map(({ key }) => `${id}: ${key.slice(0, 60)}`),
    ),
    identitiesReused: reused(after),
    holes: holes(before, after),
    deaf: found.deaf,
    stuck: found.stuck,
    repeated: counts.reduce(
      (sum, { count }) => sum + [...count.values()].reduce((more, n) => more + n - 1, 0),
      0,
    ),
    acknowledged,
  };
}

/**
 * Messages that are missing though later ones of the same publisher, acknowledged before the crash too, are there: a store
 * that lost its end cannot know it, one that lost something in the midst can, and has to say so.
 */
function holes(before: Books, after: Books): string[] {
  return after.subscribers.flatMap((book) => {
    const came = new Set(book.arrivals.map(({ key }) => key));
    if (subscribedAt(book) === NEVER) return [];
    return before.publishers.flatMap(({ id, messages }) => {
      const isKept = (n: number) => messages[n]?.keptAt !== NEVER;
      const last = messages.findLastIndex((_, n) => isKept(n) && came.has(`${id}/${n}`));
      return messages
        .slice(0, Math.max(0, last))
        .flatMap(({ sentAt }, n) =>
          sentAt >= subscribedAt(book) && isKept(n) && !came.has(`${id}/${n}`)
            ? [`${book.id}: ${id}/${n} before ${last}`]
            : [],
        );
    });
  });
}

/** The phrases of a verdict that say what is wrong; none when all is well. */
export function faults(verdict: Verdict): string[] {
  return Object.entries(verdict).flatMap(([what, found]) =>
    Array.isArray(found) && found.length > 0
      ? [`${what} ${found.length} (${found.slice(0, 3).join(", ")})`]
      : [],
  );
}

/** Where the acknowledgement of the subscription to everything stands. */
function subscribedAt(book: SubscriberBook): number {
  return book.filters.get(ALL)?.changes[0]?.doneAt ?? NEVER;
}

function keptMessages({ publishers }: Books): { key: string; sentAt: number }[] {
  return publishers.flatMap(({ id, messages }) =>
    messages.flatMap(({ sentAt, keptAt }, n) =>
      keptAt === NEVER ? [] : [{ key: `${id}/${n}`, sentAt }],
    ),
  );
}

/** Wills of those who were connected and had not said goodbye: nobody is connected to a broker that crashed. */
function wills(before: Books): string[] {
  return before.wills.flatMap(({ id, connections }) =>
    connections.flatMap(({ goodbyeAt }, n) => (goodbyeAt === NEVER ? [`${id}/${n}`] : [])),
  );
}

function lostSubscriptions(before: Books, found: Recovered): string[] {
  const joiner = before.subscribers.find(({ id }) => id === JOINER);
  if (joiner === undefined) return [];
  return [...joiner.filters]
    .filter(([filter, value]) => !value.possible().includes(found.subscribed.has(filter)))
    .map(([filter]) => filter);
}

/** Everyone with whom the broker has something agreed that only a session can keep. */
function sessionsDue({ subscribers, publishers }: Books): string[] {
  const subscribed = subscribers.filter(({ filters }) =>
    [...filters.values()].some(({ acknowledged }) => acknowledged > 0),
  );
  const published = publishers.filter(({ messages }) =>
    messages.some(({ keptAt }) => keptAt !== NEVER),
  );
  return [...subscribed, ...published].map(({ id }) => id);
}

/** Subscriptions of QoS 1 bring messages of QoS 2 at QoS 1, where twice is allowed. */
function twiceAt(book: SubscriberBook, { publishers }: Books): string[] {
  if (book.holds.length === 0) return [];
  const exactly = new Set(publishers.filter(({ qos }) => qos === 2).map(({ id }) => id));
  return [...countOf(book.arrivals)]
    .filter(([key, count]) => count > 1 && exactly.has(parseKey(key).id))
    .map(([key, count]) => `${book.id}: ${key} ${count} times`);
}

/** First arrivals of one publisher and topic come in the order in which they were published. */
function disorder(id: string, arrivals: readonly { key: string; topic: string }[]): string[] {
  const seen = new Set<string>();
  const lastOf = new Map<string, number>();
  const found: string[] = [];
  for (const { key, topic } of arrivals) {
    if (seen.has(key)) continue;
    seen.add(key);
    const { n } = parseKey(key);
    const last = lastOf.get(topic) ?? -1;
    if (n < last) found.push(`${id}: ${key} after ${last}`);
    lastOf.set(topic, n);
  }
  return found;
}

function reused({ cloud }: Books): string[] {
  const keys = new Map<string, string>();
  return cloud.flatMap(({ identity, key }) => {
    const first = keys.get(identity) ?? key;
    keys.set(identity, first);
    return first === key ? [] : [`${identity}: ${first} and ${key}`];
  });
}

function countOf(arrivals: readonly { readonly key: string }[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const { key } of arrivals) counts.set(key, (counts.get(key) ?? 0) + 1);
  return counts;
}
