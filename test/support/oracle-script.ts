import { lowerQoS, type QoS } from "../../src/mqtt/message.ts";
import { matches, Subscribers } from "./oracle-subscribers.ts";

/** What clients do, one after the other; a step of a client that is not connected, or is already, does nothing. */
export type Step =
  | {
      readonly does: "connect";
      readonly client: string;
      readonly clean: boolean;
      will: Said | null;
    }
  | { readonly does: "subscribe"; readonly client: string; readonly filters: readonly Asked[] }
  | { readonly does: "unsubscribe"; readonly client: string; readonly filters: readonly string[] }
  | { readonly does: "publish"; readonly client: string; readonly messages: readonly Said[] }
  /** From here to the end of its connection the client acknowledges nothing that it gets. */
  | { readonly does: "hush"; readonly client: string }
  /** Ends the connection with DISCONNECT, or without. */
  | { readonly does: "disconnect"; readonly client: string }
  | { readonly does: "drop"; readonly client: string };

export interface Asked {
  readonly topic: string;
  readonly qos: QoS;
}

export interface Said {
  readonly topic: string;
  readonly payload: string;
  readonly qos: QoS;
  readonly retain: boolean;
}

const CLIENTS = ["a", "b", "c"];
const TOPICS = ["a", "a/b", "a/b/c", "a/c", "b", "b/c", "/a", "a//c", "$own/a"];
const FULL_TOPICS = TOPICS.filter((topic) => !topic.split("/").includes(""));
const WILDCARDS = ["#", "+", "a/#", "a/+", "+/b", "a/+/c", "+/+", "/+", "b/#", "$own/#", "a/b/#"];
const STEPS = 16;
const BURST_MAX = 5;

/**
 * A script worked out from a source of chance: three clients, sixteen steps. What aedes loses messages or connections over
 * it avoids; each such thing has its name in test/broker/oracle-faults.test.ts:
 *
 * - "mixed bursts": the messages of a burst are of one QoS, and all of them retained or none;
 * - "overlap, burst": half of the scripts have overlapping filters, the others bursts of QoS 1 and 2;
 * - "overlap, QoS 2": where filters overlap, either all sessions are clean, or no message has QoS 2;
 * - "retained, QoS 2": retained messages have QoS 0 or 1;
 * - "empty levels": messages to a topic with an empty level have QoS 0 and are not retained;
 * - "own will": who has left a will is not taken over.
 */
export function randomScript(random: () => number): Step[] {
  const script = new ScriptWriter(random);
  return Array.from({ length: STEPS }, () => script.step());
}

/** Keeps so much of the clients' state that most steps have an effect. */
class ScriptWriter {
  readonly #random: () => number;
  readonly #overlaps: boolean;
  readonly #persistent: boolean;
  readonly #published: QoS;
  readonly #subscribers = new Subscribers();
  readonly #connected = new Set<string>();
  readonly #willing = new Set<string>();
  readonly #hushed = new Set<string>();
  readonly #cleared = new Set<string>();
  #said = 0;

  constructor(random: () => number) {
    this.#random = random;
    this.#overlaps = random() < 0.5;
    this.#persistent = !this.#overlaps || random() < 0.6;
    this.#published = this.#overlaps && this.#persistent ? 1 : 2;
  }

  step(): Step {
    const step = this.#step(this.#one(CLIENTS));
    this.#subscribers.follow(step);
    return step;
  }

  #step(client: string): Step {
    const chance = this.#random();
    const takesOver = chance < 0.03 && !this.#willing.has(client);
    if (!this.#connected.has(client) || takesOver) return this.#connect(client);
    if (chance < 0.12) return this.#leave(client);
    // A hushed client changes no subscriptions: at which QoS it gets again what it had is not settled by the standard.
    if (chance < 0.37 && !this.#hushed.has(client)) return this.#subscribe(client);
    if (chance < 0.45 && !this.#hushed.has(client)) return this.#unsubscribe(client);
    if (chance < 0.49) {
      this.#hushed.add(client);
      return { does: "hush", client };
    }
    return { does: "publish", client, messages: this.#burst() };
  }

  #connect(client: string): Step {
    this.#connected.add(client);
    this.#hushed.delete(client);
    const will = this.#random() < 0.2 ? (this.#burst()[0] ?? null) : null;
    if (will === null) this.#willing.delete(client);
    else this.#willing.add(client);
    const clean = !this.#persistent || this.#random() < 0.4;
    return { does: "connect", client, clean, will };
  }

  #leave(client: string): Step {
    this.#connected.delete(client);
    this.#hushed.delete(client);
    return { does: this.#random() < 0.5 ? "drop" : "disconnect", client };
  }

  #subscribe(client: string): Step {
    const count = this.#random() < 0.7 ? 1 : 3;
    const filters = new Map<string, Asked>();
    for (let i = 0; i < count; i++) {
      const topic = this.#filter();
      if (!this.#overlaps && this.#overlap(client, topic, [...filters.keys()])) continue;
      filters.set(topic, { topic, qos: this.#qos() });
    }
    if (filters.size === 0) return { does: "publish", client, messages: this.#burst() };
    return { does: "subscribe", client, filters: [...filters.values()] };
  }

  /** Whether a topic is matched by the filter and by another one that the client has, or is about to have. */
  #overlap(client: string, filter: string, asked: readonly string[]): boolean {
    return TOPICS.filter((topic) => matches(filter, topic)).some((topic) => {
      const had = this.#subscribers.matching(client, topic).map(([other]) => other);
      return [...had, ...asked].some((other) => other !== filter && matches(other, topic));
    });
  }

  #unsubscribe(client: string): Step {
    const count = this.#random() < 0.7 ? 1 : 3;
    const filters = new Set(Array.from({ length: count }, () => this.#filter()));
    return { does: "unsubscribe", client, filters: [...filters] };
  }

  #burst(): Said[] {
    const retain = this.#random() < 0.3;
    const qos = lowerQoS(this.#qos(), retain ? 1 : this.#published);
    const long = (qos === 0 || !this.#overlaps) && this.#random() < 0.3;
    const count = long ? 1 + Math.floor(this.#random() * BURST_MAX) : 1;
    return Array.from({ length: count }, () => this.#message(qos, retain));
  }

  #message(qos: QoS, retain: boolean): Said {
    const topic = this.#one(qos > 0 || retain ? FULL_TOPICS : TOPICS);
    // A topic is cleared once, so that a queued message is known by its topic and payload.
    const clears = retain && this.#random() < 0.25 && !this.#cleared.has(topic);
    if (clears) this.#cleared.add(topic);
    return { topic, payload: clears ? "" : `${++this.#said}`, qos, retain };
  }

  #filter(): string {
    return this.#one(this.#random() < 0.5 ? TOPICS : WILDCARDS);
  }

  #qos(): QoS {
    return Math.floor(this.#random() * 3) as QoS;
  }

  #one<T>(choices: readonly T[]): T {
    return choices[Math.floor(this.#random() * choices.length)] as T;
  }
}
