import type { Service } from "../base/service.ts";
import { Feed, type FeedTools } from "./feed.ts";
import type { FedJournal } from "./ports.ts";

/** The feeds of all copies: they begin when the broker serves, and end before it does. */
export class Feeds implements Service {
  readonly name = "feeds";
  readonly #tools: FeedTools;
  readonly #feeds = new Map<string, Feed>();
  #isStarted = false;
  #isStopped = false;

  constructor(tools: FeedTools) {
    this.#tools = tools;
  }

  /** A copy that has one keeps it. */
  add(replica: FedJournal, gateway: string): void {
    if (this.#feeds.has(replica.id) || this.#isStopped) return;
    const feed = new Feed(replica, gateway, this.#tools);
    this.#feeds.set(replica.id, feed);
    if (this.#isStarted) void feed.start();
  }

  async start(): Promise<void> {
    this.#isStarted = true;
    await Promise.all([...this.#feeds.values()].map((feed) => feed.start()));
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    await Promise.all([...this.#feeds.values()].map((feed) => feed.stop()));
  }
}
