/**
 * What the outside world knows of a broker: what was sent to it, what it has acknowledged, what came. Each thing carries the
 * position at which it was known, so that the books can be read as they stood at an earlier position (`booksAt`).
 * Sensors, subscribers and the cloud are other machines: a power cut of the gateway takes nothing from their books.
 */
export interface Books {
  readonly publishers: readonly PublisherBook[];
  readonly subscribers: readonly SubscriberBook[];
  /** By topic, the retained payload; null for none. */
  readonly retained: ReadonlyMap<string, Register<string | null>>;
  readonly wills: readonly WillBook[];
  readonly cloud: CloudArrival[];
}

/** Not yet, or never. */
export const NEVER = Number.POSITIVE_INFINITY;

export interface PublisherBook {
  readonly id: string;
  readonly qos: 1 | 2;
  /** Message n, from 0, has the topic and payload of `message.ts`. */
  readonly messages: Published[];
}

export interface Published {
  readonly sentAt: number;
  /** PUBACK or PUBREC came. */
  keptAt: number;
  /** Nothing more is to be said about it: PUBACK or PUBCOMP came. */
  doneAt: number;
}

export interface SubscriberBook {
  readonly id: string;
  /** By filter, whether it is subscribed. */
  readonly filters: Map<string, Register<boolean>>;
  readonly arrivals: Arrival[];
  /** Messages of QoS 2 from PUBLISH to PUBREL. */
  readonly holds: Hold[];
}

export interface Arrival {
  readonly key: string;
  readonly topic: string;
  readonly at: number;
  /** The payload is, byte for byte, the one that was sent under that key. */
  readonly isWhole: boolean;
}

export interface Hold {
  readonly packetId: number;
  readonly at: number;
  releasedAt: number;
}

/** One client id with one will after another, each for one connection. */
export interface WillBook {
  readonly id: string;
  readonly connections: { readonly connackAt: number; goodbyeAt: number }[];
}

export interface CloudArrival {
  readonly key: string;
  readonly topic: string;
  /** The journal's id and the seq. */
  readonly identity: string;
  readonly isWhole: boolean;
  readonly at: number;
}

/** Something that has one value at a time, and is asked to change. */
export class Register<T> {
  readonly changes: { readonly value: T; readonly sentAt: number; doneAt: number }[] = [];
  readonly #first: T;

  constructor(first: T) {
    this.#first = first;
  }

  change(value: T, sentAt: number): { doneAt: number } {
    const change = { value, sentAt, doneAt: NEVER };
    this.changes.push(change);
    return change;
  }

  /** The last value acknowledged, and those asked for after it: any of them may be the value now. */
  possible(): T[] {
    const last = this.changes.findLastIndex(({ doneAt }) => doneAt !== NEVER);
    const kept = this.changes.slice(Math.max(0, last)).map(({ value }) => value);
    return last === -1 ? [this.#first, ...kept] : kept;
  }

  get acknowledged(): number {
    return this.changes.filter(({ doneAt }) => doneAt !== NEVER).length;
  }

  /** As it was known. */
  at(known: (at: number) => number): Register<T> {
    const then = new Register(this.#first);
    for (const { value, sentAt, doneAt } of this.changes) {
      if (known(sentAt) === NEVER) continue;
      then.changes.push({ value, sentAt: known(sentAt), doneAt: known(doneAt) });
    }
    return then;
  }
}

/**
 * The books as they stood at a position: a copy, to be continued.
 * @param origin when given, all that was known then is known from there on: positions begin anew
 */
export function booksAt(books: Books, position: number, origin?: number): Books {
  const known = (at: number) => (at <= position ? (origin ?? at) : NEVER);
  return {
    publishers: books.publishers.map(({ messages, ...rest }) => ({
      ...rest,
      messages: messages
        .filter(({ sentAt }) => sentAt <= position)
        .map(({ sentAt, keptAt, doneAt }) => ({
          sentAt: known(sentAt),
          keptAt: known(keptAt),
          doneAt: known(doneAt),
        })),
    })),
    subscribers: books.subscribers.map(({ id, filters, arrivals, holds }) => ({
      id,
      filters: registersAt(filters, known),
      arrivals: arrivals
        .filter(({ at }) => at <= position)
        .map((each) => ({ ...each, at: known(each.at) })),
      holds: holds
        .filter(({ at }) => at <= position)
        .map(({ packetId, at, releasedAt }) => ({
          packetId,
          at: known(at),
          releasedAt: known(releasedAt),
        })),
    })),
    retained: registersAt(books.retained, known),
    wills: books.wills.map(({ id, connections }) => ({
      id,
      connections: connections
        .filter(({ connackAt }) => connackAt <= position)
        .map((each) => ({ connackAt: known(each.connackAt), goodbyeAt: known(each.goodbyeAt) })),
    })),
    cloud: books.cloud
      .filter(({ at }) => at <= position)
      .map((each) => ({ ...each, at: known(each.at) })),
  };
}

/** Every position at which the broker has acknowledged something, rising. */
export function acknowledgements(books: Books): number[] {
  return acknowledgementsByKind(books)
    .flat()
    .sort((one, other) => one - other);
}

/** The same by what was acknowledged: messages kept, messages done, retained, subscriptions, wills; each rising. */
export function acknowledgementsByKind(books: Books): number[][] {
  const messages = books.publishers.flatMap((publisher) => publisher.messages);
  const filters = books.subscribers.flatMap((subscriber) => [...subscriber.filters.values()]);
  const connections = books.wills.flatMap((will) => will.connections);
  const doneOf = (registers: readonly Register<unknown>[]) =>
    registers.flatMap(({ changes }) => changes.map(({ doneAt }) => doneAt));
  return [
    messages.map(({ keptAt }) => keptAt),
    messages.map(({ doneAt }) => doneAt),
    doneOf([...books.retained.values()]),
    doneOf(filters),
    connections.map(({ connackAt }) => connackAt),
  ].map((kind) => kind.filter((at) => at !== NEVER).sort((one, other) => one - other));
}

function registersAt<T>(
  registers: ReadonlyMap<string, Register<T>>,
  known: (at: number) => number,
): Map<string, Register<T>> {
  return new Map([...registers].map(([name, register]) => [name, register.at(known)]));
}
