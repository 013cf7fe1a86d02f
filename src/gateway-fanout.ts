import type { Broker } from "./broker/broker.ts";
import { LocalPublisher } from "./broker/local-publisher.ts";
import type { SessionWiring } from "./gateway-mobility.ts";
import type { Message } from "./mqtt/message.ts";
import { PEER_LANE } from "./replica/feed.ts";
import { FILTERS_MAX } from "./replica/live.ts";
import type { Subscribers } from "./replica/ports.ts";

/** The subscribers of this gateway, as messages that other gateways of the site took in reach them. */
export class SiteSubscribers implements Subscribers {
  readonly #publishers = new Map<string, LocalPublisher>();
  /** Null without other gateways. */
  sessions: SessionWiring | null = null;
  #broker: Broker | null = null;
  #version = -1;
  #filters: readonly string[] = [];

  /** Replication is there before the broker is. */
  serve(broker: Broker): void {
    this.#broker = broker;
    this.sessions?.serve(broker);
  }

  filters(): readonly string[] {
    const routes = this.#broker?.routes;
    if (routes === undefined || routes.version === this.#version) return this.#filters;
    this.#version = routes.version;
    const filters = routes.filters(FILTERS_MAX);
    // The same array again: that what others want has changed is no news for them.
    if (filters.join("\n") !== this.#filters.join("\n")) this.#filters = filters;
    return this.#filters;
  }

  take(message: Message, gateway: string): void {
    this.takeKept(message, gateway, 0);
  }

  /** One that the other gateway has kept, at that time. Why it was not taken, or null. */
  takeKept(message: Message, gateway: string, wallMs: number): string | null {
    if (this.#broker === null) return "the broker is not there yet";
    const known = this.#publishers.get(gateway);
    const publisher = known ?? new LocalPublisher(`peer ${gateway}`, true);
    this.#publishers.set(gateway, publisher);
    return this.#broker.takeFromPeer(message, publisher, { lane: PEER_LANE, wallMs });
  }

  rerouted(): void {
    this.#broker?.routes.rerouted();
  }

  claimed(client: string, gateway: string): void {
    if (this.#broker !== null) this.sessions?.claimed(client, gateway);
  }

  missed(): void {
    this.sessions?.missed();
  }
}
