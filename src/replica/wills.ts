import { errorFields } from "../base/errors.ts";
import type { Log } from "../base/log.ts";
import type { Rows } from "../base/rows.ts";
import { WILLS } from "./copied-sessions.ts";
import type { ReplicationCounters } from "./counters.ts";
import type { Feed } from "./feed.ts";
import type { Feeds } from "./feeds.ts";
import type { KeptWill, LocalSessions } from "./moving.ts";
import type { Peer } from "./ports.ts";

interface WillTools {
  readonly log: Log;
  readonly gateway: string;
  readonly counters: ReplicationCounters;
  readonly journal: { readonly id: string; rows(space: string): Rows };
  readonly feeds: Feeds;
  readonly local: LocalSessions;
  readonly members: () => readonly Peer[];
  readonly acts: () => boolean;
  readonly hears: (journal: string) => boolean;
}

/**
 * Wills of clients whose gateway is lost: the primary publishes them once the gateway's registration has run out and nothing is
 * heard of it; the gateway to which such a client comes, at once. That it was done is a row of its journal (space `willed`, named
 * as the will), in the commit of the message: so no other gateway does it again, nor the lost one when it returns.
 */
export class LostWills {
  readonly #tools: WillTools;
  readonly #willed = new Set<string>();
  #looking: Promise<void> = Promise.resolve();
  #isLooking = false;

  constructor(tools: WillTools) {
    this.#tools = tools;
  }

  async load(): Promise<void> {
    for await (const [name] of this.#rows.entries({})) this.#willed.add(name);
  }

  /** Whether another gateway has published a will that was left here. */
  async isPublished(name: string): Promise<boolean> {
    const key = nameOf(this.#tools.journal.id, name);
    for (const { sessions } of this.#tools.feeds.all()) {
      if ((await sessions.rows("willed").get(key)) !== undefined) return true;
    }
    return false;
  }

  /** Publishes those of gateways that are lost, if it is for us to do. */
  look(): Promise<void> {
    if (this.#isLooking || !this.#tools.acts()) return this.#looking;
    this.#isLooking = true;
    const ids = this.#tools.members().map(({ id }) => id);
    const isLost = ({ gateway }: Feed) => !ids.includes(gateway);
    const knowsSite = ids.includes(this.#tools.gateway);
    const lost = this.#tools.feeds.all().filter((feed) => knowsSite && isLost(feed));
    this.#looking = this.#publish(lost, null).finally(() => {
      this.#isLooking = false;
    });
    return this.#looking;
  }

  /** Whether a gateway that is away has one for the client. */
  has(client: string): boolean {
    const { feeds, hears } = this.#tools;
    return feeds
      .all()
      .some(({ journal, sessions }) => !hears(journal.id) && sessions.hasWill(client));
  }

  /** Publishes those that gateways which are away have for the client. */
  publishOf(client: string): Promise<void> {
    return this.#publish(this.#tools.feeds.all(), client);
  }

  ended(): Promise<void> {
    return this.#looking;
  }

  /** A gateway has no longer the row of that key. */
  forgotten(key: string): void {
    if (!key.startsWith(WILLS)) return;
    for (const name of this.#willed) {
      if (`${WILLS}${encodeURIComponent(name.slice(JOURNAL_CHARACTERS + 1))}` !== key) continue;
      this.#willed.delete(name);
      this.#rows.del(name).catch(() => undefined);
    }
  }

  get #rows(): Rows {
    return this.#tools.journal.rows("willed");
  }

  async #publish(feeds: readonly Feed[], client: string | null): Promise<void> {
    const { hears, local, log } = this.#tools;
    for (const feed of feeds.filter((one) => !hears(one.journal.id))) {
      try {
        for (const will of await local.willsIn(feed.sessions.rows("aedes"))) {
          if (client === null || will.client === client) await this.#publishOne(will, feed);
        }
      } catch (error) {
        log.warn("a will is not published yet", { gateway: feed.gateway, ...errorFields(error) });
      }
    }
  }

  async #publishOne(will: KeptWill, { journal, gateway }: Feed): Promise<void> {
    const { feeds, local, log, counters } = this.#tools;
    const name = nameOf(journal.id, will.name);
    for (const { sessions } of feeds.all()) {
      if ((await sessions.rows("willed").get(name)) !== undefined) return;
    }
    if (this.#willed.has(name)) return;
    this.#willed.add(name);
    try {
      // In one turn, so in one commit.
      const published = local.publishWill(will);
      const kept = this.#rows.put(name, new Uint8Array());
      await Promise.all([published, kept]);
    } catch (error) {
      this.#willed.delete(name);
      throw error;
    }
    counters.willsPublished++;
    log.info("published the will of a client whose gateway is lost", {
      client: will.client,
      gateway,
    });
  }
}

const JOURNAL_CHARACTERS = 32;

function nameOf(journal: string, will: string): string {
  return `${journal}\0${will}`;
}
