import { FilterTree } from "../mqtt/filter-tree.ts";
import type { Message, QoS } from "../mqtt/message.ts";
import type { PublishFrame } from "../mqtt/publish-frame.ts";
import { topicLevels, topicNameError } from "../mqtt/topic.ts";
import type { SessionQueue } from "./ports.ts";
import type { RateLimit } from "./rates.ts";

/** What the router must know of a session. */
export interface Subscriber {
  /** Where messages of QoS 1 and 2 wait when the session is persistent; null for a clean session. */
  readonly queue: SessionQueue | null;
  /** Whether messages to that topic may come to it. Asked when a route is worked out, not for each message. */
  mayReceive(topic: string): boolean;
}

export interface Subscription {
  readonly filter: string;
  readonly qos: QoS;
}

export interface Target<S> {
  readonly subscriber: S;
  /** The highest QoS granted among the subscriber's filters that match [MQTT-3.3.5-1]. */
  readonly qos: QoS;
}

/** A group of subscribers of whom one gets each message. */
export interface SharedSubscription {
  readonly qosMax: QoS;
  /** The queue for a message of QoS 1 or 2; null when it does not come because the group is full. */
  queueFor(topic: string, publisherId: string): SharedQueue | null;
  /** QoS 0: sent now to one who is here, or not at all. */
  deliverNow(frame: PublishFrame, publisherId: string): void;
}

export interface SharedQueue {
  readonly queue: SessionQueue;
  /** A message of the queue is on disk. */
  arrived(index: number, frame: PublishFrame): void;
}

/** Someone within the gateway who is told of messages, once they are kept, and of who published each. */
export type Listener = (message: Message, publisherId: string) => void;

/** All that is decided by a message's topic alone. */
export interface Route<S> {
  readonly topic: string;
  /** Of the router when this was worked out; an older one must be worked out again. */
  readonly version: number;
  /** Why nobody may publish to this topic, or null. */
  readonly refusal: string | null;
  /** The broker's own topics: clients read them, and do not write them. */
  readonly reserved: boolean;
  /** The lane of the uplink that carries the topic, 0 for none. */
  readonly lane: number;
  /** How much may be published to it; null: without limit. */
  readonly rates: readonly RateLimit[] | null;
  /** Everyone who gets it. */
  readonly targets: readonly Target<S>[];
  /** Those of the targets who get it through their durable queue when its QoS is 1 or 2. */
  readonly queued: readonly Target<S>[];
  readonly queues: readonly SessionQueue[];
  /** The others. */
  readonly direct: readonly Target<S>[];
  /** Someone within the gateway who wants it too. */
  readonly listener: Listener | null;
  readonly shared: readonly SharedSubscription[];
  /** Passes a message that is not kept on to other gateways of the site; null when nobody there wants it. */
  readonly beyond: ((frame: PublishFrame) => void) | null;
}

export interface TopicLimits {
  readonly topicLevelsMax: number;
  readonly topicBytesMax: number;
  /** How much may be published to a topic. */
  ratesOf(topic: string): readonly RateLimit[] | null;
  /** Passes a message that is not kept on to other gateways of the site; absent where there are none. */
  beyond?(topic: string): ((frame: PublishFrame) => void) | null;
}

const ROUTES_KEPT_MAX = 20_000;
/** So many subscribers of a topic are looked through for one of them. */
const FEW = 16;

/** Who gets a message: the subscriptions of all sessions, and the routes of the topics seen lately. */
export class Router<S extends Subscriber> {
  /** Grows with every change of a subscription. */
  version = 1;
  readonly #tree = new FilterTree<S, Subscription>();
  readonly #shares = new FilterTree<SharedSubscription, true>();
  readonly #listeners = new Map<string, Listener>();
  readonly #taps = new FilterTree<Listener, true>();
  readonly #routes = new Map<string, Route<S>>();
  /** Of routes with many who each ask for themselves. */
  readonly #queuedAt = new WeakMap<Route<S>, ReadonlyMap<S, QoS>>();
  readonly #laneOf: (topic: string) => number;
  readonly #limits: TopicLimits;

  constructor(laneOf: (topic: string) => number, limits: TopicLimits) {
    this.#laneOf = laneOf;
    this.#limits = limits;
  }

  subscribe(subscriber: S, subscription: Subscription): void {
    this.#tree.set(subscription.filter, subscriber, subscription);
    this.#changed();
  }

  unsubscribe(subscriber: S, filter: string): void {
    this.#tree.delete(filter, subscriber);
    this.#changed();
  }

  /** One listener a topic, in the gateway itself; the returned function takes it away. */
  listen(topic: string, listener: Listener): () => void {
    this.#listeners.set(topic, listener);
    this.#changed();
    return () => {
      this.#listeners.delete(topic);
      this.#changed();
    };
  }

  /** Tells `listener` of every message that the filter matches; the returned function ends it. */
  tap(filter: string, listener: Listener): () => void {
    this.#taps.set(filter, listener, true);
    this.#changed();
    return () => {
      this.#taps.delete(filter, listener);
      this.#changed();
    };
  }

  share(shared: SharedSubscription, filter: string): void {
    this.#shares.set(filter, shared, true);
    this.#changed();
  }

  unshare(shared: SharedSubscription, filter: string): void {
    this.#shares.delete(filter, shared);
    this.#changed();
  }

  /** Rights have changed: who gets what is worked out anew. */
  reconsider(): void {
    this.#changed();
  }

  route(topic: string): Route<S> {
    const known = this.#routes.get(topic);
    if (known !== undefined) return known;
    const route = this.#workOut(topic);
    if (this.#routes.size >= ROUTES_KEPT_MAX) this.#routes.clear();
    this.#routes.set(topic, route);
    return route;
  }

  /** The QoS at which a subscriber's queue takes messages of a topic; null when it does not. */
  queuedAt(subscriber: S, topic: string): QoS | null {
    const route = this.route(topic);
    const { queued } = route;
    if (queued.length <= FEW)
      return queued.find((each) => each.subscriber === subscriber)?.qos ?? null;
    let known = this.#queuedAt.get(route);
    if (known === undefined) {
      known = new Map(queued.map((each) => [each.subscriber, each.qos]));
      this.#queuedAt.set(route, known);
    }
    return known.get(subscriber) ?? null;
  }

  /** What is wanted here: the filters of all subscriptions, or one for everything when there are more than `most`. */
  filters(most: number): readonly string[] {
    const filters = new Set<string>(this.#listeners.keys());
    for (const tree of [this.#tree, this.#shares]) {
      for (const filter of tree.filters()) {
        filters.add(filter);
        if (filters.size > most) return ["#"];
      }
    }
    return [...filters].sort();
  }

  /** Where messages of topics go has changed, beyond subscriptions. */
  rerouted(): void {
    this.#changed();
  }

  #changed(): void {
    this.version++;
    this.#routes.clear();
  }

  #workOut(topic: string): Route<S> {
    const version = this.version;
    const refusal = this.#refusal(topic);
    const reserved = topic.startsWith("$SYS/");
    const nobody = {
      lane: 0,
      rates: null,
      targets: [],
      queued: [],
      queues: [],
      direct: [],
      shared: [],
      beyond: null,
    };
    if (refusal !== null) {
      return { topic, version, refusal, reserved, ...nobody, listener: null };
    }
    const granted = new Map<S, QoS>();
    this.#tree.match(topic, (subscriber, subscription) => {
      const before = granted.get(subscriber);
      if (before === undefined || before < subscription.qos) {
        granted.set(subscriber, subscription.qos);
      }
    });
    const targets = [...granted]
      .filter(([subscriber]) => subscriber.mayReceive(topic))
      .map(([subscriber, qos]) => ({ subscriber, qos }));
    const queued = targets.filter(isQueued);
    const direct = targets.filter((target) => !isQueued(target));
    const queues = queued.map(({ subscriber }) => subscriber.queue as SessionQueue);
    const shared: SharedSubscription[] = [];
    this.#shares.match(topic, (each) => shared.push(each));
    const lane = reserved ? 0 : this.#laneOf(topic);
    const listener = this.#listenerOf(topic);
    const who = { targets, queued, queues, direct, shared, listener };
    const rates = this.#limits.ratesOf(topic);
    const beyond = reserved ? null : (this.#limits.beyond?.(topic) ?? null);
    return { topic, version, refusal, reserved, lane, rates, ...who, beyond };
  }

  #listenerOf(topic: string): Listener | null {
    const all: Listener[] = [];
    this.#taps.match(topic, (each) => all.push(each));
    const exact = this.#listeners.get(topic);
    if (exact !== undefined) all.push(exact);
    if (all.length < 2) return all[0] ?? null;
    return (...said) => {
      for (const each of all) each(...said);
    };
  }

  #refusal(topic: string): string | null {
    const error = topicNameError(topic);
    if (error !== null) return `topic ${error}`;
    if (topicLevels(topic) > this.#limits.topicLevelsMax) return "topic has too many levels";
    if (Buffer.byteLength(topic) > this.#limits.topicBytesMax) return "topic is too long";
    return null;
  }
}

/** Whether messages of QoS 1 and 2 wait for that one in a durable queue. */
function isQueued<S extends Subscriber>({ subscriber, qos }: Target<S>): boolean {
  return subscriber.queue !== null && qos > 0;
}
