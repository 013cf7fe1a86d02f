import type { Clock } from "./base/clock.ts";
import { errorFields } from "./base/errors.ts";
import type { Log } from "./base/log.ts";
import type { Rows } from "./base/rows.ts";
import type { Service } from "./base/service.ts";
import type { Broker } from "./broker/broker.ts";
import type { BrokerJournal, Elsewhere } from "./broker/ports.ts";
import { isShareQueue } from "./broker/share-groups.ts";
import type { ClusterConfig } from "./config/schema.ts";
import type { Queue } from "./journal/journal.ts";
import type { StoreJournal } from "./journal/store-journal.ts";
import { PEER_LANE } from "./replica/feed.ts";
import { Feeds } from "./replica/feeds.ts";
import { LoggedJournal } from "./replica/logged-journal.ts";
import { Mobility } from "./replica/mobility.ts";
import type { LocalSessions, OwnJournal } from "./replica/moving.ts";
import type { Replication } from "./replica/replication.ts";
import { SafeJournal } from "./replica/safe-journal.ts";
import type { SiteRecord } from "./replica/site-log.ts";
import { Turns } from "./replica/turns.ts";
import type { Site } from "./site/site.ts";

interface Parts {
  readonly clock: Clock;
  readonly log: Log;
  readonly gateway: string;
  readonly isSafe: boolean;
  readonly limits: Pick<
    NonNullable<ClusterConfig["peer"]>,
    "sessionLogBytesMax" | "tellEveryMs" | "settleMsMax" | "sessionWaitMsMax" | "homesMax"
  >;
  readonly journal: StoreJournal;
  readonly site: Site;
  readonly replication: Replication;
  readonly take: ConstructorParameters<typeof Feeds>[0]["take"];
}

const TELL_RETRY_MS = 1000;

/** The part of the composition by which sessions are the site's: what is told of them, heard of others, and moved. */
export class SessionWiring implements Elsewhere {
  /** What the broker keeps things in: other gateways are told of them. */
  readonly journal: BrokerJournal;
  readonly feeds: Feeds;
  readonly #parts: Parts;
  readonly #logged: LoggedJournal<Queue, Rows>;
  readonly #mobility: Mobility;
  readonly #life = new AbortController();
  #broker: Broker | null = null;
  #telling: Promise<void> | null = null;

  constructor(parts: Parts) {
    this.#parts = parts;
    const { clock, log, journal, replication, isSafe, gateway, site } = parts;
    const { limits } = parts;
    const logged = new LoggedJournal(journal, (name) => !isShareQueue(name), {
      clock,
      log,
      headsEveryMs: limits.tellEveryMs,
      recordBytesMax: limits.sessionLogBytesMax,
      lost: () => {
        replication.counters.sessionLogsLost++;
        this.missed();
      },
    });
    this.#logged = logged;
    const kept = isSafe ? new SafeJournal(logged, replication.release) : logged;
    this.journal = kept;
    const turns = new Turns();
    this.feeds = new Feeds({
      clock,
      log: log.part("feed"),
      counters: replication.counters,
      rows: (space) => journal.rows(space),
      loggedRows: (space) => logged.rows(space),
      lastSeq: () => journal.lastSeq,
      take: parts.take,
      turns,
      heard: (...said) => this.#mobility.heard(...said),
    });
    logged.watch((record) => this.#said(record));
    this.#mobility = new Mobility({
      clock,
      log: log.part("mobility"),
      gateway,
      sessionWaitMsMax: limits.sessionWaitMsMax,
      homesMax: limits.homesMax,
      settleMsMax: limits.settleMsMax,
      counters: replication.counters,
      journal: ownJournal(journal, logged, (space) => kept.rows(space)),
      feeds: this.feeds,
      turns,
      local: this.#local(),
      members: () => site.members.get(),
      acts: () => site.role.mayUplink(),
      hears: (id) => replication.hears(id),
      toldSeq: (id) => replication.toldSeq(id),
      claim: (...claimed) => replication.claim(...claimed),
    });
  }

  serve(broker: Broker): void {
    this.#broker = broker;
  }

  /** Starts behind the journal, and stops before it. */
  get log(): Service {
    return {
      name: "site log",
      start: async () => this.#logged.begin(),
      stop: async () => this.#logged.end(),
    };
  }

  /** Start behind the broker. */
  get services(): readonly Service[] {
    const telling: Service = {
      name: "session log",
      start: async () => this.missed(),
      stop: async () => {
        this.#life.abort();
        await this.#telling;
      },
    };
    return [this.feeds, this.#mobility, telling];
  }

  come(...claim: Parameters<Elsewhere["come"]>) {
    return this.#mobility.come(...claim);
  }
  settled(): Promise<void> {
    return this.#mobility.settled();
  }
  ended(client: string): void {
    this.#mobility.ended(client);
  }
  hasPublished(will: string): Promise<boolean> {
    return this.#mobility.wills.isPublished(will);
  }

  claimed(client: string, gateway: string): void {
    this.#mobility.claimed(client, gateway);
  }

  /** A gateway may not know all that we have said of our sessions: all of it is said again. */
  missed(): void {
    this.#telling ??= this.#tellAll().finally(() => {
      this.#telling = null;
    });
  }

  async #tellAll(): Promise<void> {
    const { clock, log } = this.#parts;
    while (!this.#life.signal.aborted) {
      try {
        await this.#logged.tellAll();
        return;
      } catch (error) {
        log.warn("other gateways are not told of all sessions yet", errorFields(error));
      }
      await clock.sleep(TELL_RETRY_MS, this.#life.signal).catch(() => undefined);
    }
  }

  /** A subscription begins: what the feeds have brought before it is not for it. */
  #said(record: SiteRecord): void {
    const isSubscription =
      record[0] === "put" && record[1] === "aedes" && record[2].startsWith("subscriptions:");
    if (isSubscription) this.feeds.tell();
  }

  #local(): LocalSessions {
    const desk = () => {
      if (this.#broker === null) throw new Error("the broker is not there yet");
      return this.#broker.site;
    };
    return {
      has: (client) => desk().has(client),
      close: (...said) => desk().close(...said),
      giveUp: (...said) => desk().giveUp(...said),
      ownerIn: (row) => desk().ownerIn(row),
      subscriptionsIn: (...asked) => desk().subscriptionsIn(...asked),
      willsIn: (rows) => desk().willsIn(rows),
      publishWill: (will) => desk().publishWill(will),
      adopt: (client, afterIndex) => desk().adopt(client, afterIndex, PEER_LANE),
    };
  }
}

function ownJournal(
  journal: StoreJournal,
  logged: LoggedJournal<Queue, Rows>,
  rows: (space: string) => Rows,
): OwnJournal {
  return {
    get id() {
      return journal.id;
    },
    get lastSeq() {
      return journal.lastSeq;
    },
    get durableSeq() {
      return journal.durableSeq;
    },
    rows,
    read: (...range) => journal.read(...range),
    onCommit: (listener) => journal.onCommit(listener),
    committed: () => journal.committed(),
    cursor: (name) => journal.cursor(name),
    cursorNames: () => journal.cursorNames(),
    forgetCursor: (name) => journal.forgetCursor(name),
    moved: (...said) => logged.moved(...said),
    capture: (took) => logged.capture(took),
  };
}
