import type { Principal } from "./principal.ts";
import type { Rules, Subject } from "./rules.ts";

/** Topics whose answers one client's rights remember, for each of publish and receive, and how long such a topic is. */
const REMEMBERED_MAX = 256;
const REMEMBERED_LENGTH_MAX = 512;

/**
 * What one client may do under the rules as they are. Answers are remembered by topic, so that the second message to a
 * topic costs one look into a map; a change of the rules makes new rights, and with them nothing is remembered.
 */
export class ClientRights implements Subject {
  readonly clientId: string;
  readonly principal: Principal;
  /** When what let the client in ends, in milliseconds since the Unix epoch; null: never. */
  readonly endsMs: number | null;
  /** What the credentials are, so that a change of them is seen; never the credentials themselves. */
  readonly stamp: string;
  readonly #rules: Rules;
  #publish: Map<string, boolean> | null = null;
  #receive: Map<string, boolean> | null = null;

  constructor(
    who: Subject & { readonly endsMs?: number | null; readonly stamp?: string },
    rules: Rules,
  ) {
    this.clientId = who.clientId;
    this.principal = who.principal;
    this.endsMs = who.endsMs ?? null;
    this.stamp = who.stamp ?? "";
    this.#rules = rules;
  }

  mayPublish(topic: string): boolean {
    this.#publish ??= new Map();
    return this.#remembered(this.#publish, "publish", topic);
  }

  mayReceive(topic: string): boolean {
    this.#receive ??= new Map();
    return this.#remembered(this.#receive, "subscribe", topic);
  }

  /** Not remembered: a client asks seldom. */
  maySubscribe(filter: string): boolean {
    return this.#rules.decideFilter(this, filter).allowed;
  }

  #remembered(
    answers: Map<string, boolean>,
    action: "publish" | "subscribe",
    topic: string,
  ): boolean {
    const known = answers.get(topic);
    if (known !== undefined) return known;
    if (answers.size >= REMEMBERED_MAX) answers.clear();
    const { allowed } = this.#rules.decide(this, action, topic);
    if (topic.length <= REMEMBERED_LENGTH_MAX) answers.set(topic, allowed);
    return allowed;
  }
}
