import { Readable } from "node:stream";
import aedesPersistenceLevel from "aedes-persistence-level";
import type { Range, Rows } from "./ports.ts";

/** What the control plane keeps, as far as we call it ourselves. */
export interface ControlPersistence {
  subscriptionsByClient(client: {
    readonly id: string;
  }): Promise<readonly { readonly topic: string; readonly qos: 0 | 1 | 2 }[]>;
  streamWill(brokers?: unknown): AsyncIterable<StoredWill>;
  delWill(client: { readonly id: string }): Promise<unknown>;
}

export interface StoredWill {
  readonly clientId: string;
  readonly topic: string;
  readonly payload: Uint8Array;
  readonly qos: 0 | 1 | 2;
  readonly retain: boolean;
}

/**
 * aedes-persistence-level on rows of the journal: what it writes goes through the group commit, and its promises
 * resolve when that is durable. It keeps subscriptions and wills. Messages never reach it: retained messages, queues
 * and identifiers of messages are the data plane's, so those calls do nothing here.
 */
export function levelPersistence(rows: Rows): ControlPersistence {
  const persistence = aedesPersistenceLevel(levelOn(rows));
  const nothing = async () => undefined;
  const stored = new WeakMap<object, Promise<void>>();
  const addSubscriptions = persistence.addSubscriptions.bind(persistence);
  return Object.assign(persistence, {
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
    /** aedes calls this once a topic of a SUBSCRIBE, each time with all of them: once is enough. */
    addSubscriptions(client: { readonly id: string }, subscriptions: object): Promise<void> {
      const known = stored.get(subscriptions);
      if (known !== undefined) return known;
      const adding: Promise<void> = addSubscriptions(client, subscriptions);
      stored.set(subscriptions, adding);
      return adding;
    },
  });
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
    clear: (range: Range) => rows.clear(range),
    async *values(range: Range) {
      const { gte, lt } = range as { gte: string; lt: string };
      for await (const [, value] of rows.entries({ gte, lt })) yield buffer(value);
    },
    async close() {},
  };
}

function buffer(value: Uint8Array | undefined): Buffer | undefined {
  return value && Buffer.from(value.buffer, value.byteOffset, value.byteLength);
}
