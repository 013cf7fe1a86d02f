import { lowerQoS, type QoS } from "../../src/mqtt/message.ts";
import type { Delivery } from "./oracle-client.ts";
import type { Outcome } from "./oracle-play.ts";
import type { Step } from "./oracle-script.ts";
import { Subscribers } from "./oracle-subscribers.ts";

/**
 * What stock aedes 1.2.0 says, with its known faults taken out: the only differences that are permitted between it and us.
 * Each fault is named, where it is taken out, as in test/broker/oracle-faults.test.ts, which shows what is right. What a
 * script never does, because aedes loses messages over it, is said in oracle-script.ts.
 */
export function withoutFaults(script: readonly Step[], outcomes: readonly Outcome[]): Outcome[] {
  const known = new Known();
  return outcomes.map((outcome, index) => known.correct(script[index] as Step, outcome));
}

/** For comparison: what both sides may do as they like is made equal. */
export function comparable(script: readonly Step[], outcomes: readonly Outcome[]): unknown[] {
  return outcomes.map(({ delivered, connected, answer }, index) => {
    // Which of several retained messages comes first is not said by the standard.
    const sorts = script[index]?.does === "subscribe";
    const lists = Object.entries(delivered)
      .filter(([, list]) => list.length > 0)
      .map(([client, list]) => [client, (sorts ? list.toSorted(byTopic) : list).map(withoutDup)])
      .sort();
    return { delivered: Object.fromEntries(lists), connected, answer };
  });
}

class Known {
  readonly #subscribers = new Subscribers();
  readonly #acknowledged = new Map<string, Set<string>>();
  readonly #hushed = new Set<string>();
  readonly #publishedAt = new Map<string, QoS>();
  /** Of each message that was published, for whom it waits if they are away. */
  readonly #queuedFor = new Map<string, ReadonlySet<string>>();

  correct(step: Step, outcome: Outcome): Outcome {
    const present = this.#subscribers.follow(step);
    for (const { topic, payload, qos } of messagesOf(step)) {
      this.#publishedAt.set(`${topic} ${payload}`, qos);
    }
    if (step.does === "publish") {
      for (const { topic, payload } of step.messages) {
        const before = this.#queuedFor.get(`${topic} ${payload}`) ?? [];
        const now = this.#subscribers.waitingFor(topic);
        this.#queuedFor.set(`${topic} ${payload}`, new Set([...before, ...now]));
      }
    }
    if (step.does === "hush") this.#hushed.add(step.client);
    if (step.does === "connect") {
      this.#hushed.delete(step.client);
      if (!present) this.#acknowledged.delete(step.client);
    }
    const delivered = Object.fromEntries(
      Object.entries(outcome.delivered).map(([client, list]) => [
        client,
        this.#correctList(step, client, list),
      ]),
    );
    // "session present": aedes knows of a session by its subscriptions only.
    const bare = step.does === "connect" && present && !this.#subscribers.hasFilters(step.client);
    return { ...outcome, delivered, answer: bare ? true : outcome.answer };
  }

  #correctList(step: Step, client: string, list: readonly Delivery[]): Delivery[] {
    if (step.does === "subscribe" && step.client === client) {
      return this.#correctRetained(step, client, list);
    }
    const queued = step.does === "connect" && step.client === client;
    const right: Delivery[] = [];
    for (const delivery of list) {
      const matching = this.#subscribers.matching(client, delivery.topic);
      const granted = matching.map(([, qos]) => qos);
      // "$ topics": an absent client with the filter # is queued messages that its other filters do not bring, or not queued;
      // or did not bring when they were published.
      if (queued && delivery.topic.startsWith("$")) {
        if (granted.every((qos) => qos === 0)) continue;
        const those = this.#queuedFor.get(`${delivery.topic} ${delivery.payload}`);
        if (those?.has(client) === false) continue;
      }
      // "overlap, queued": an absent client gets a message once for each filter, and once more at later returns.
      if (queued && this.#has(client, delivery, right)) continue;
      right.push({
        ...delivery,
        // "retain, queued": what waited in a queue leaves with the flag of its publisher.
        retain: queued ? false : delivery.retain,
        qos: this.#rightQoS(delivery, granted.length, Math.max(...granted, 0) as QoS),
      });
    }
    this.#remember(client, right);
    return right;
  }

  /**
   * "wildcard": the QoS of a subscription with a wildcard is not applied, and that of none to what was queued.
   * "overlap": of several subscriptions not the highest QoS counts, but that of whichever is found first.
   */
  #rightQoS(delivery: Delivery, matching: number, granted: QoS): QoS {
    const { topic, payload, qos } = delivery;
    const published = this.#publishedAt.get(`${topic} ${payload}`) ?? qos;
    return lowerQoS(matching > 1 ? published : qos, granted);
  }

  /** Each filter of a SUBSCRIBE brings its retained messages, at its own QoS: "wildcard" and "overlap" again. */
  #correctRetained(
    step: Extract<Step, { does: "subscribe" }>,
    client: string,
    list: readonly Delivery[],
  ): Delivery[] {
    const asked = new Set(step.filters.map(({ topic }) => topic));
    const copies = new Map<string, QoS[]>();
    return list.flatMap((delivery) => {
      const { topic } = delivery;
      const matching = this.#subscribers.matching(client, topic);
      const left =
        copies.get(topic) ??
        matching.filter(([filter]) => asked.has(filter)).map(([, granted]) => granted);
      copies.set(topic, left);
      const granted = left.shift();
      // "$ topics": a wildcard brings them when they are retained.
      if (granted === undefined && topic.startsWith("$")) return [];
      return [{ ...delivery, qos: this.#rightQoS(delivery, matching.length, granted ?? 2) }];
    });
  }

  #has(client: string, { topic, payload }: Delivery, right: readonly Delivery[]): boolean {
    const before = this.#acknowledged.get(client)?.has(`${topic} ${payload}`) ?? false;
    return before || right.some((other) => other.topic === topic && other.payload === payload);
  }

  #remember(client: string, list: readonly Delivery[]): void {
    const acknowledged = this.#acknowledged.get(client) ?? new Set();
    this.#acknowledged.set(client, acknowledged);
    for (const { topic, payload, qos } of list) {
      if (qos === 0 || !this.#hushed.has(client)) acknowledged.add(`${topic} ${payload}`);
    }
  }
}

function messagesOf(step: Step) {
  if (step.does === "publish") return step.messages;
  return step.does === "connect" && step.will !== null ? [step.will] : [];
}

function byTopic(a: Delivery, b: Delivery): number {
  if (a.topic !== b.topic) return a.topic < b.topic ? -1 : 1;
  return a.qos - b.qos;
}

/** "DUP": aedes never sets it. Ours is looked at by the tests of sessions. */
function withoutDup({ topic, payload, qos, retain }: Delivery) {
  return { topic, payload, qos, retain };
}
