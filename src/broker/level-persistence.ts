import { Readable } from "node:stream";
import aedesPersistenceLevel from "aedes-persistence-level";
import type { RowRange, Rows } from "../base/rows.ts";
import type { Principal } from "./access.ts";

/** What the control plane keeps, as far as we call it ourselves. */
export interface ControlPersistence {
  subscriptionsByClient(client: {
    readonly id: string;
  }): Promise<readonly { readonly topic: string; readonly qos: 0 | 1 | 2 }[]>;
  addSubscriptions(
    client: { readonly id: string },
    subscriptions: readonly { readonly topic: string; readonly qos: 0 | 1 | 2 }[],
  ): Promise<void>;
  cleanSubscriptions(client: { readonly id: string }): Promise<unknown>;
  /** Of all clients, each once. */
  storedSubscriptions(): AsyncIterable<StoredSubscriptions>;
  /** That subscription, the object itself, is not granted: it is not stored with others of its SUBSCRIBE. */
  refuse(subscription: object): void;
  putWill(client: WillOwner, will: Omit<StoredWill, "clientId">): Promise<unknown>;
  /** Those that an earlier process has left, and those of who is connected, in the order in which they came. */
  storedWills(): AsyncIterable<StoredWill>;
  delWill(client: { readonly id: string }): Promise<unknown>;
}

export interface StoredSubscriptions {
  readonly clientId: string;
  readonly subscriptions: readonly { readonly topic: string; readonly qos: 0 | 1 | 2 }[];
}

interface Known {
  /** Its last seq is higher than the number of any will of an earlier process. */
  readonly journal: { readonly lastSeq: number };
  readonly sessions: {
    persistentOf(
      clientId: string,
    ): { readonly subscriptions: ReadonlyMap<string, { readonly qos: 0 | 1 | 2 }> } | null;
  };
}

const UNKNOWN: Known = { journal: { lastSeq: 0 }, sessions: { persistentOf: () => null } };

export interface StoredWill {
  readonly clientId: string;
  readonly topic: string;
  readonly payload: Uint8Array;
  readonly qos: 0 | 1 | 2;
  readonly retain: boolean;
  /** Whose it is; missing where an older version has left it. */
  readonly principal?: Principal;
}

/**
 * aedes-persistence-level on rows of the journal: what it writes goes through the group commit, and its promises
 * resolve when that is durable. It keeps subscriptions and wills. Messages never reach it: retained messages, queues
 * and identifiers of messages are the data plane's, so those calls do nothing here.
 * @param known what the number of the first will is taken from, and whose subscriptions need not be read
 */
export function levelPersistence(rows: Rows, known: Known = UNKNOWN): ControlPersistence {
  const persistence = aedesPersistenceLevel(levelOn(rows));
  const nothing = async () => undefined;
  const stored = new WeakMap<object, Promise<void>>();
  // Each instance has a tree of all subscriptions that it has heard of, to find who gets a message, and looks through all that
  // match for each one that is added. That is the router's work, so none lives long enough to have heard of others.
  const passing = () => aedesPersistenceLevel(levelOn(rows));
  const putWill = persistence.putWill.bind(persistence);
  const delWill = persistence.delWill.bind(persistence);
  const streamWill = persistence.streamWill.bind(persistence);
  const wills = new WillRows(() => known.journal.lastSeq);
  const refused = new WeakSet<object>();
  const owners = new Owners();
  return Object.assign(persistence, {
    async subscriptionsByClient(client: { readonly id: string }) {
      const session = known.sessions.persistentOf(client.id);
      if (session !== null)
        return [...session.subscriptions].map(([topic, { qos }]) => ({ topic, qos }));
      return owners.mayOwn(client.id) ? passing().subscriptionsByClient(client) : [];
    },
    removeSubscriptions: (client: { readonly id: string }, topics: readonly string[]) =>
      passing().removeSubscriptions(client, topics),
    cleanSubscriptions: (client: { readonly id: string }) =>
      owners.disown(client.id, () => passing().cleanSubscriptions(client)),
    storedSubscriptions: () => owners.listed(subscriptionsIn(rows)),
    storeRetained: nothing,
    createRetainedStream: () => Readable.from([]),
    createRetainedStreamCombi: () => Readable.from([]),
    subscriptionsByTopic: async () => [],
    outgoingEnqueue: nothing,
    outgoingEnqueueCombi: nothing,
    outgoingUpdate: nothing,
    outgoingClearMessageId: nothing,
    outgoingStream: () => Readable.from([]),
    incomingStorePacket: nothing,
    incomingDelPacket: nothing,
    cleanIncoming: nothing,
    // aedes asks every four minutes, to publish those of brokers that have died beside it: there are no others, and all are its own.
    streamWill: () => Readable.from([]),
    storedWills: () => streamWill(),
    /** aedes calls this once a topic of a SUBSCRIBE, each time with all of them: once is enough. */
    addSubscriptions(
      client: { readonly id: string },
      subscriptions: readonly object[],
    ): Promise<void> {
      const before = stored.get(subscriptions);
      if (before !== undefined) return before;
      // In the turn in which it is called the topics behind the first one are not authorised yet.
      const granted = () => subscriptions.filter((each) => !refused.has(each));
      owners.add(client.id);
      const adding = Promise.resolve().then(() => passing().addSubscriptions(client, granted()));
      stored.set(subscriptions, adding);
      return adding;
    },
    refuse: (subscription: object) => void refused.add(subscription),
    putWill: (client: WillOwner, will: object) => putWill({ id: wills.add(client) }, will),
    async delWill(client: { readonly id: string }): Promise<void> {
      // A connection that begins: it is not to take away the will of the one that it takes over from.
      if ("closed" in client) return;
      await delWill({ id: wills.remove(client.id) });
    },
  });
}

/** All in one walk: one for each client would be most of a start with thousands of sessions. */
async function* subscriptionsIn(rows: Rows): AsyncGenerator<StoredSubscriptions> {
  let client = "";
  let values: Uint8Array[] = [];
  const gathered = async (): Promise<StoredSubscriptions> => {
    const clientId = decodeURIComponent(client);
    const own = { ...levelOn(rows), values: () => values.map(buffer) };
    return {
      clientId,
      subscriptions: await aedesPersistenceLevel(own).subscriptionsByClient({ id: clientId }),
    };
  };
  const { length } = ALL_SUBSCRIPTIONS.gte;
  for await (const [key, value] of rows.entries(ALL_SUBSCRIPTIONS)) {
    const owner = key.slice(length, key.indexOf(":", length));
    if (owner !== client) {
      if (values.length > 0) yield await gathered();
      [client, values] = [owner, []];
    }
    values.push(value);
  }
  if (values.length > 0) yield await gathered();
}

/** Keys: "subscriptions:", the client's id encoded as in an URI, ":", the filter. */
const ALL_SUBSCRIPTIONS = { gte: "subscriptions:", lt: "subscriptions;" };

/**
 * The clients that may have subscriptions stored. aedes asks for each that connects, and the answer is nearly always no: to walk
 * through rows for it would be a quarter of what a connection costs.
 */
class Owners {
  /** By client id; each time that one stores, another number. */
  readonly #stored = new Map<string, number>();
  #count = 0;
  #isComplete = false;

  /** True, too, as long as nobody has been through all of them. */
  mayOwn(clientId: string): boolean {
    return !this.#isComplete || this.#stored.has(clientId);
  }

  add(clientId: string): void {
    this.#stored.set(clientId, ++this.#count);
  }

  /** What is stored meanwhile stays known. */
  async disown(clientId: string, clean: () => Promise<unknown>): Promise<void> {
    if (!this.mayOwn(clientId)) return;
    const before = this.#stored.get(clientId);
    await clean();
    if (this.#stored.get(clientId) === before) this.#stored.delete(clientId);
  }

  async *listed(all: AsyncIterable<StoredSubscriptions>): AsyncGenerator<StoredSubscriptions> {
    for await (const each of all) {
      this.add(each.clientId);
      yield each;
    }
    this.#isComplete = true;
  }
}

interface WillOwner {
  readonly id: string;
  readonly closed: boolean;
}

/**
 * Which row has whose will. aedes names wills by client id, and while a connection takes over from one with the same id there
 * are two: the end of the old one must not delete the will of the new one.
 */
class WillRows {
  readonly #rows = new Map<string, { readonly owner: WillOwner; readonly row: string }[]>();
  readonly #first: () => number;
  #count = 0;

  constructor(first: () => number) {
    this.#first = first;
  }

  add(owner: WillOwner): string {
    if (this.#count === 0) this.#count = this.#first();
    const row = `${owner.id}\0${String(this.#count++).padStart(16, "0")}`; // NUL cannot be part of a client id [MQTT-1.5.3-2]
    this.#rows.set(owner.id, [...(this.#rows.get(owner.id) ?? []), { owner, row }]);
    return row;
  }

  /** The row of the connection of that client that has ended. A name that is no client's is that of a row already. */
  remove(clientId: string): string {
    const rows = this.#rows.get(clientId) ?? [];
    const ended = rows.find(({ owner }) => owner.closed);
    const left = rows.filter((each) => each !== ended);
    if (left.length > 0) this.#rows.set(clientId, left);
    else this.#rows.delete(clientId);
    return ended?.row ?? clientId;
  }
}

interface Operation {
  readonly type: "put" | "del";
  readonly key: string;
  readonly value?: Uint8Array;
}

/** The part of a LevelDB that aedes-persistence-level uses. */
function levelOn(rows: Rows) {
  return {
    get: async (key: string) => buffer(await rows.get(key)),
    put: (key: string, value: Uint8Array) => rows.put(key, value),
    del: (key: string) => rows.del(key),
    async batch(operations: readonly Operation[]) {
      await Promise.all(
        operations.map(({ type, key, value }) =>
          type === "put" && value !== undefined ? rows.put(key, value) : rows.del(key),
        ),
      );
    },
    clear: (range: RowRange) => rows.clear(range),
    async *values(range: RowRange) {
      const { gte, lt } = range as { gte: string; lt: string };
      if (gte === ALL_SUBSCRIPTIONS.gte) return; // for the tree of an instance, at the start
      for await (const [, value] of rows.entries({ gte, lt })) yield buffer(value);
    },
    async close() {},
  };
}

function buffer(value: Uint8Array | undefined): Buffer | undefined {
  return value && Buffer.from(value.buffer, value.byteOffset, value.byteLength);
}
