import type { QoS } from "../../src/mqtt/message.ts";
import type { Step } from "./oracle-script.ts";

/** What the standard says of subscriptions, worked out from the script alone, by the most naive means. */
export class Subscribers {
  readonly #sessions = new Map<string, Session>();
  readonly #connected = new Set<string>();

  /** Takes a step into account. Returns whether, for CONNECT, a session was there. */
  follow(step: Step): boolean {
    const { client } = step;
    if (step.does === "connect") {
      if (this.#connected.has(client)) this.#leave(client);
      this.#connected.add(client);
      const present = !step.clean && this.#sessions.has(client);
      if (!present) this.#sessions.set(client, { clean: step.clean, filters: new Map() });
      return present;
    }
    const session = this.#sessions.get(client);
    if (session === undefined || !this.#connected.has(client)) return false;
    if (step.does === "subscribe") {
      for (const { topic, qos } of step.filters) session.filters.set(topic, qos);
    } else if (step.does === "unsubscribe") {
      for (const filter of step.filters) session.filters.delete(filter);
    } else if (step.does === "drop" || step.does === "disconnect") {
      this.#leave(client);
    }
    return false;
  }

  hasFilters(client: string): boolean {
    return (this.#sessions.get(client)?.filters.size ?? 0) > 0;
  }

  /** The filters of a client that match a topic, with what was granted. */
  matching(client: string, topic: string): readonly (readonly [filter: string, granted: QoS])[] {
    const filters = this.#sessions.get(client)?.filters ?? new Map<string, QoS>();
    return [...filters].filter(([filter]) => matches(filter, topic));
  }

  /** The clients for whom a message of a topic would wait now: those with a filter that matches, of more than QoS 0. */
  waitingFor(topic: string): string[] {
    return [...this.#sessions.keys()].filter((client) =>
      this.matching(client, topic).some(([, granted]) => granted > 0),
    );
  }

  #leave(client: string): void {
    this.#connected.delete(client);
    if (this.#sessions.get(client)?.clean) this.#sessions.delete(client);
  }
}

interface Session {
  readonly clean: boolean;
  readonly filters: Map<string, QoS>;
}

/** Whether a valid filter matches a topic [MQTT-4.7.1, MQTT-4.7.2-1]. */
export function matches(filter: string, topic: string): boolean {
  if (topic.startsWith("$") && /^[+#]/.test(filter)) return false;
  const pattern = filter
    .split("/")
    .map((level) => {
      if (level === "+") return "[^/]*";
      return level === "#" ? ".*" : level.replace(/[$.*?()[\]{}|^\\]/g, "\\$&");
    })
    .join("/")
    .replace(/\/\.\*$/, "(/.*)?");
  return new RegExp(`^${pattern}$`).test(topic);
}
