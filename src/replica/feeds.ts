import type { Service } from "../base/service.ts";
import { CopiedSessions } from "./copied-sessions.ts";
import { Feed, type FeedTools } from "./feed.ts";
import type { FedJournal } from "./ports.ts";

/** The feeds of all copies: they begin when the broker serves, and end before it does. */
export class Feeds implements Service {
  readonly name = "feeds";
  readonly #tools: FeedTools;
  readonly #feeds = new Map<string, Feed>();
  readonly #starting = new Set<Promise<void>>();
  #isStarted = false;
  #isStopped = false;

  constructor(tools: FeedTools) {
    this.#tools = tools;
  }

  all(): readonly Feed[] {
    return [...this.#feeds.values()];
  }

  /** A copy that has one keeps it. */
  add(replica: FedJournal, gateway: string): void {
    if (this.#feeds.has(replica.id) || this.#isStopped) return;
    const sessions = new CopiedSessions((space) => replica.rows(space), this.#tools.clock);
    const feed = new Feed(replica, gateway, sessions, this.#tools);
    this.#feeds.set(replica.id, feed);
    if (this.#isStarted) this.#start(feed);
  }

  /** Resolves when it is stopped. */
  async remove(journal: string): Promise<void> {
    const feed = this.#feeds.get(journal);
    this.#feeds.delete(journal);
    await Promise.allSettled(this.#starting);
    await feed?.stop();
  }

  /** Tells other gateways where all of them stand, in the commit that gathers now. */
  tell(): void {
    for (const feed of this.#feeds.values()) feed.tell();
  }

  async start(): Promise<void> {
    this.#isStarted = true;
    await Promise.all(this.all().map((feed) => feed.start()));
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    await Promise.allSettled(this.#starting);
    await Promise.all(this.all().map((feed) => feed.stop()));
  }

  #start(feed: Feed): void {
    const starting = feed.start().finally(() => this.#starting.delete(starting));
    this.#starting.add(starting);
  }
}
