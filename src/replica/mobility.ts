import type { Clock } from "../base/clock.ts";
import { errorFields } from "../base/errors.ts";
import type { Log } from "../base/log.ts";
import type { Service } from "../base/service.ts";
import type { Home } from "./copied-sessions.ts";
import type { ReplicationCounters } from "./counters.ts";
import type { Feed } from "./feed.ts";
import type { Feeds } from "./feeds.ts";
import { Homes } from "./homes.ts";
import { type LocalSessions, Moving, type OwnJournal } from "./moving.ts";
import type { Peer } from "./ports.ts";
import { FED_CURSORS } from "./positions.ts";
import type { SiteRecord } from "./site-log.ts";
import type { Turns } from "./turns.ts";
import { LostWills } from "./wills.ts";

export interface MobilityTools {
  readonly clock: Clock;
  readonly log: Log;
  readonly gateway: string;
  /** A client whose session cannot be had for so long is refused, and comes again. */
  readonly sessionWaitMsMax: number;
  /** Numbers of moves of sessions that have ended here. */
  readonly homesMax: number;
  /** After the start: what happened while we were away is heard first. */
  readonly settleMsMax: number;
  readonly counters: ReplicationCounters;
  /** Our own journal. */
  readonly journal: OwnJournal;
  readonly feeds: Feeds;
  readonly turns: Turns;
  readonly local: LocalSessions;
  readonly members: () => readonly Peer[];
  /** Whether this gateway acts for the site: it publishes the wills of a gateway that is lost. */
  readonly acts: () => boolean;
  /** Whether that journal comes to us from its own gateway now, and up to where it was durable there when we were told last. */
  readonly hears: (journal: string) => boolean;
  readonly toldSeq: (journal: string) => number;
  /** Has that gateway let go of the client, or all. False when it cannot be told. */
  readonly claim: (client: string, gateway: string | null) => boolean;
}

/** 0: come in; 3: not now; 5: the session is somebody else's. */
export type Answer = 0 | 3 | 5;

const LOOK_EVERY_MS = 10;
const CLAIM_EVERY_MS = 500;

interface Place {
  readonly home: Home;
  /** Null when it is here. */
  readonly feed: Feed | null;
}

interface Moved extends Place {
  readonly feed: Feed;
}

/**
 * The sessions of the site: a client finds its session at whichever gateway it comes to. Each session is at one gateway, its
 * home; the others have what it consists of in their copy of that gateway's journal. Each move is numbered, and the highest
 * number has it: so a gateway that was away learns that a session is no longer its own.
 */
export class Mobility implements Service {
  readonly name = "mobility";
  readonly #tools: MobilityTools;
  readonly #moving: Moving;
  readonly wills: LostWills;
  readonly #homes: Homes;
  /** Of those that are coming: another gateway has let go of them for us. */
  readonly #letGo = new Set<string>();
  readonly #coming = new Map<string, Promise<Answer>>();
  readonly #life = new AbortController();
  #settled: Promise<void> | null = null;
  #isSettled = false;
  #begin: () => void = () => {};
  readonly #begun = new Promise<void>((resolve) => {
    this.#begin = resolve;
  });
  #stop: () => void = () => {};

  constructor(tools: MobilityTools) {
    this.#tools = tools;
    this.#moving = new Moving(tools);
    this.wills = new LostWills(tools);
    this.#homes = new Homes(tools.homesMax, {
      ...tools,
      rows: () => tools.journal.rows("home"),
      isInUse: (client) => tools.local.has(client) || this.#coming.has(client),
    });
  }

  async start(): Promise<void> {
    await this.#homes.load();
    await this.wills.load();
    this.#begin();
    void this.settled();
    this.#stop = this.#tools.clock.every(1000, () => this.#watch());
  }

  async stop(): Promise<void> {
    this.#life.abort();
    this.#stop();
    await Promise.allSettled([...this.#coming.values(), this.wills.ended()]);
  }

  /** Resolves when what the others did while we were away is known, or after some time. */
  settled(): Promise<void> {
    this.#settled ??= this.#settle();
    return this.#settled;
  }

  /** A client comes to us. Once it may come in, its session is here, if it has one anywhere. */
  come(client: string, clean: boolean, user: string | null): Answer | Promise<Answer> {
    if (this.#isSettled && !this.#coming.has(client) && !this.wills.has(client)) {
      const place = this.#placeOf(client);
      if (place === null || (place.feed === null && !this.#mustSay(client, clean, place.home))) {
        this.#tools.claim(client, null);
        return 0;
      }
    }
    const before = this.#coming.get(client) ?? Promise.resolve();
    const coming = before.then(
      () => this.#come(client, clean, user),
      () => this.#come(client, clean, user),
    );
    this.#coming.set(client, coming);
    const done = () => {
      this.#letGo.delete(client);
      if (this.#coming.get(client) === coming) this.#coming.delete(client);
    };
    coming.then(done, done);
    return coming;
  }

  /** A client has come to another gateway. */
  claimed(client: string, gateway: string): void {
    this.#tools.local.close(client, `taken over at ${gateway}`);
    if (this.#tools.local.has(client)) this.#tools.journal.moved(client, gateway);
  }

  /** A session has ended here, and not because its client said so. The number of its last move stays, for whoever begins anew elsewhere. */
  ended(client: string): void {
    const home = this.#homes.get(client);
    if (home === undefined || home.gone) return;
    this.#homes.set(client, { ...home, gone: true }).catch((error) => {
      this.#tools.log.warn("row not written", { client, ...errorFields(error) });
    });
  }

  /** What another gateway has said of its sessions. */
  heard(record: SiteRecord, gateway: string): void {
    const { journal, gateway: self } = this.#tools;
    const [what] = record;
    const isForUs = what === "moved" && record[2] === self && this.#coming.has(record[1]);
    if (isForUs) this.#letGo.add(record[1]);
    if (what === "del" && record[1] === "aedes") this.wills.forgotten(record[2]);
    if (what !== "put") return;
    const [, space, key] = record;
    if (space === "feed" && key === journal.id) this.#fed(gateway, record[3]);
    if (space === "home" || space === "session") this.#compare(key, gateway);
  }

  #watch(): void {
    void this.wills.look();
    if (this.#isSettled) this.#homes.sweep(this.#tools.clock.monotonicMs());
  }

  async #come(client: string, clean: boolean, user: string | null): Promise<Answer> {
    const { clock, log, sessionWaitMsMax } = this.#tools;
    await this.settled();
    await this.wills.publishOf(client);
    const untilMs = clock.monotonicMs() + sessionWaitMsMax;
    this.#letGo.delete(client);
    let claimedMs = Number.NEGATIVE_INFINITY;
    while (clock.monotonicMs() < untilMs && !this.#life.signal.aborted) {
      const place = this.#placeOf(client);
      if (place === null || place.feed === null) return await this.#stays(client, clean, place);
      const owner = await this.#moving.ownerOf(client, place.feed);
      if (owner !== null && owner !== user) return 5;
      if (clean || place.home.gone) return await this.#begins(client, clean, place);
      if (clock.monotonicMs() - claimedMs >= CLAIM_EVERY_MS) {
        claimedMs = clock.monotonicMs();
        this.#tools.claim(client, place.feed.gateway);
      }
      if (await this.#isComplete(client, place.feed, untilMs - sessionWaitMsMax / 2)) {
        try {
          return await this.#bring(client, { ...place, feed: place.feed });
        } catch (error) {
          log.warn("a session could not be taken over", { client, ...errorFields(error) });
        }
      }
      await clock.sleep(LOOK_EVERY_MS, this.#life.signal).catch(() => undefined);
    }
    return 3;
  }

  /** Whether we know all of the session: its gateway has let go of it, or is away. */
  async #isComplete(client: string, feed: Feed, levelMs: number): Promise<boolean> {
    const isHere = this.#tools.hears(feed.journal.id);
    if (isHere && !this.#letGo.has(client)) return false;
    if (!isHere && feed.seq < feed.journal.durableSeq) return false;
    return await this.#moving.isLevel(feed, levelMs);
  }

  /** A session begins here anew; what another gateway has of it is no more. */
  async #begins(client: string, clean: boolean, { home }: Place): Promise<Answer> {
    this.#tools.claim(client, null);
    await this.#homes.set(client, { moves: home.moves + 1, gone: clean });
    return 0;
  }

  /** The session is here, or nowhere. */
  async #stays(client: string, clean: boolean, place: Place | null): Promise<Answer> {
    this.#tools.claim(client, null);
    if (place !== null && this.#mustSay(client, clean, place.home)) {
      await this.#homes.set(client, { moves: place.home.moves + 1, gone: clean });
    }
    return 0;
  }

  /** Whether a session begins or ends here of which other gateways may have another opinion. */
  #mustSay(client: string, clean: boolean, { gone }: Home): boolean {
    if (gone || !clean) return gone && !clean;
    return this.#tools.feeds.all().some(({ sessions }) => sessions.home(client) !== null);
  }

  async #bring(client: string, { home, feed }: Moved): Promise<Answer> {
    const { turns, counters, log } = this.#tools;
    await turns.run(async () => {
      if (!feed.sessions.has(client)) return;
      await this.#moving.bring(client, feed, () =>
        this.#homes.set(client, { moves: home.moves + 1, gone: false }),
      );
      counters.sessionsMoved++;
      log.info("a session has moved here", { client, from: feed.gateway });
    });
    return 0;
  }

  /** The one with most moves; of two the one that is here. */
  #placeOf(client: string): Place | null {
    const own = this.#ownHome(client);
    let best: Place | null = own === null ? null : { home: own, feed: null };
    for (const feed of this.#tools.feeds.all()) {
      const home = feed.sessions.home(client);
      if (home !== null && (best === null || home.moves > best.home.moves)) best = { home, feed };
    }
    return best;
  }

  #ownHome(client: string): Home | null {
    const home = this.#homes.get(client);
    if (home !== undefined && (home.gone || this.#tools.local.has(client))) return home;
    return this.#tools.local.has(client) ? { moves: home?.moves ?? 0, gone: false } : null;
  }

  /** Another gateway has the client's session: when it has it by a later move, or by the same number and a higher id, ours is no more. */
  #compare(client: string, gateway: string): void {
    const own = this.#ownHome(client);
    const theirs = this.#tools.feeds
      .all()
      .filter((feed) => feed.gateway === gateway)
      .map((feed) => feed.sessions.home(client)?.moves ?? -1);
    const moves = Math.max(-1, ...theirs);
    if (own === null || moves < own.moves) return;
    if (moves === own.moves && gateway < this.#tools.gateway) return;
    this.#homes.forget(client);
    this.#tools.local.giveUp(client, `moved to ${gateway}`);
  }

  /** What that gateway's sessions have not had of our messages is kept, for whoever takes them over. */
  #fed(gateway: string, base64: string): void {
    const { feeds, journal } = this.#tools;
    const name = FED_CURSORS + gateway;
    const count = feeds.all().filter((feed) => feed.gateway === gateway && feed.sessions.size > 0);
    if (count.length === 0) {
      if (journal.cursorNames().includes(name)) journal.forgetCursor(name);
      return;
    }
    const seq = Number(Buffer.from(base64, "base64").toString());
    if (!Number.isSafeInteger(seq)) return;
    journal.cursor(name).move(Math.min(seq, journal.durableSeq), 0);
  }

  async #settle(): Promise<void> {
    await this.#begun;
    const { clock, members, gateway, hears, toldSeq, feeds, settleMsMax } = this.#tools;
    const untilMs = clock.monotonicMs() + settleMsMax;
    const isKnown = ({ journal }: Peer) => {
      const feed = feeds.all().find((one) => one.journal.id === journal);
      return hears(journal) && feed !== undefined && feed.seq >= toldSeq(journal);
    };
    while (clock.monotonicMs() < untilMs && !this.#life.signal.aborted) {
      const all = members();
      const others = all.filter(({ id }) => id !== gateway);
      if (others.length < all.length && others.every(isKnown)) break;
      await clock.sleep(LOOK_EVERY_MS, this.#life.signal).catch(() => undefined);
    }
    this.#isSettled = true;
  }
}
