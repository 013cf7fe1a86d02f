import { silentLog } from "../../src/base/log.ts";
import type { Rows } from "../../src/base/rows.ts";
import { systemClock } from "../../src/base/system-clock.ts";
import type { Queue } from "../../src/journal/journal.ts";
import { type MemoryJournal, memoryJournal } from "../../src/journal/memory-journal.ts";
import { newCounters } from "../../src/replica/counters.ts";
import { PEER_LANE } from "../../src/replica/feed.ts";
import { Feeds } from "../../src/replica/feeds.ts";
import { LoggedJournal } from "../../src/replica/logged-journal.ts";
import { Mobility } from "../../src/replica/mobility.ts";
import type { Adoption, KeptWill, LocalSessions, OwnJournal } from "../../src/replica/moving.ts";
import type { Peer } from "../../src/replica/ports.ts";
import { Turns } from "../../src/replica/turns.ts";
import { message, NOW } from "./journal-samples.ts";
import { until } from "./until.ts";

const NEVER = new AbortController().signal;
const TOOLS = { clock: systemClock, log: silentLog, random: Math.random };

/** What became of a session that was taken over. */
export interface Adopted {
  readonly client: string;
  readonly afterIndex: number;
  readonly taken: string[];
  state: "coming" | "here" | "abandoned";
  received: readonly number[];
  released: readonly number[];
}

/** gw-b with its sessions, and gw-a of which it has a copy: one that is there, or away. */
export class MovingTown {
  /** gw-a's. */
  readonly journal: MemoryJournal = memoryJournal({ id: "a".repeat(32) }, TOOLS);
  readonly there: LoggedJournal<Queue, Rows>;
  /** gw-b's. */
  readonly own: MemoryJournal = memoryJournal({ id: "b".repeat(32) }, TOOLS);
  readonly copy: MemoryJournal = memoryJournal({ id: "a".repeat(32) }, TOOLS);
  readonly feeds: Feeds;
  readonly mobility: Mobility;
  readonly counters = newCounters();
  /** Whether gw-a is connected, registered; whether gw-b is primary. */
  isConnected = true;
  isMember = true;
  isPrimary = false;
  readonly sessions = new Set<string>();
  readonly adopted: Adopted[] = [];
  readonly claims: string[] = [];
  readonly said: string[] = [];
  readonly wills: string[] = [];
  /** Makes the next adoption fail. */
  failsOnce = false;
  #copiedSeq = 0;

  constructor() {
    const logged = (journal: MemoryJournal) =>
      new LoggedJournal<Queue, Rows>(journal, () => true, {
        ...TOOLS,
        headsEveryMs: 20,
        recordBytesMax: 2 ** 20,
        lost: () => undefined,
      });
    this.there = logged(this.journal);
    const here = logged(this.own);
    this.#here = here;
    const turns = new Turns();
    this.feeds = new Feeds({
      ...TOOLS,
      counters: this.counters,
      rows: (space) => this.own.rows(space),
      loggedRows: (space) => here.rows(space),
      lastSeq: () => this.own.lastSeq,
      turns,
      heard: (...said) => this.mobility.heard(...said),
      take: (taken, _gateway, wallMs) => {
        this.own.append(taken, PEER_LANE, wallMs, []);
        return null;
      },
    });
    this.mobility = new Mobility({
      ...TOOLS,
      gateway: "gw-b",
      sessionWaitMsMax: 1000,
      homesMax: 2,
      settleMsMax: 50,
      counters: this.counters,
      journal: this.#ownJournal(here),
      feeds: this.feeds,
      turns,
      local: this.#local(),
      members: () => this.#members(),
      acts: () => this.isPrimary,
      hears: () => this.isConnected,
      toldSeq: () => this.journal.durableSeq,
      claim: (client, gateway) => this.claims.push(`${client} of ${gateway ?? "all"}`) > 0,
    });
  }
  readonly #here: LoggedJournal<Queue, Rows>;

  static async run(use: (town: MovingTown) => Promise<void>): Promise<void> {
    const town = new MovingTown();
    for (const journal of [town.journal, town.own, town.copy]) await journal.start(NEVER);
    for (const logged of [town.there, town.#here]) logged.begin();
    town.feeds.add(town.copy, "gw-a");
    await town.feeds.start();
    await town.mobility.start();
    await town.mobility.settled();
    try {
      await use(town);
    } finally {
      await town.mobility.stop();
      await town.feeds.stop();
      for (const logged of [town.there, town.#here]) logged.end();
      for (const journal of [town.journal, town.own, town.copy]) await journal.stop();
    }
  }

  /** A session at gw-a with these subscriptions, for which so many messages wait. */
  async sessionThere(client: string, user = "user", waiting = 3): Promise<Queue> {
    await this.there.rows("session").put(client, Buffer.from(user));
    await this.there.rows("aedes").put(`subscriptions:${client}`, Buffer.from("t/#"));
    const queue = this.there.queue(client);
    for (let n = 1; n <= waiting; n++) this.publishThere(`t/${n}`, [queue]);
    await this.shipped();
    return queue;
  }

  publishThere(topic: string, queues: readonly Queue[]): void {
    this.there.append(message(topic, topic), 1, NOW, queues);
  }

  /** All that gw-a has is in our copy, and was heard. */
  async shipped(): Promise<void> {
    await this.journal.committed();
    const { entries } = await this.journal.copies.read(this.#copiedSeq, 2 ** 30);
    for (const { value, seq } of entries) {
      this.copy.copies.take(value);
      this.#copiedSeq = seq;
    }
    await this.copy.committed();
    const { durableSeq } = this.journal;
    await until("it was heard", () => this.feeds.all()[0]?.seq === durableSeq);
  }

  #ownJournal(here: LoggedJournal<Queue, Rows>): OwnJournal {
    const { own, said } = this;
    return {
      get id() {
        return own.id;
      },
      get lastSeq() {
        return own.lastSeq;
      },
      get durableSeq() {
        return own.durableSeq;
      },
      rows: (space) => here.rows(space),
      read: (...range) => own.read(...range),
      onCommit: (listener) => own.onCommit(listener),
      committed: () => own.committed(),
      cursor: (name) => own.cursor(name),
      cursorNames: () => own.cursorNames(),
      forgetCursor: (name) => own.forgetCursor(name),
      moved: (client, to) => said.push(`${client} may go to ${to}`),
      capture: (took) => here.capture(took),
    };
  }

  #members(): readonly Peer[] {
    const peer = (id: string, journal: string) => ({ id, journal, address: id });
    const all = [peer("gw-b", this.own.id), peer("gw-a", this.journal.id)];
    return this.isMember ? all : all.slice(0, 1);
  }

  #local(): LocalSessions {
    return {
      has: (client) => this.sessions.has(client),
      close: (client, why) => this.said.push(`${client} closed: ${why}`),
      giveUp: (client, why) => {
        this.sessions.delete(client);
        this.said.push(`${client} given up: ${why}`);
      },
      ownerIn: (row) => (row.length === 0 ? null : Buffer.from(row).toString()),
      subscriptionsIn: async (rows, client) => {
        const row = await rows.get(`subscriptions:${client}`);
        return row === undefined ? [] : [{ topic: Buffer.from(row).toString(), qos: 1 }];
      },
      willsIn: (rows) => willsIn(rows),
      publishWill: async ({ name }) => void this.wills.push(name),
      adopt: (client, afterIndex) => this.#adopt(client, afterIndex),
    };
  }

  #adopt(client: string, afterIndex: number): Adoption {
    const adopted: Adopted = {
      client,
      afterIndex,
      taken: [],
      state: "coming",
      received: [],
      released: [],
    };
    this.adopted.push(adopted);
    return {
      take: (taken, _wallMs, isNew) => {
        if (this.failsOnce) {
          this.failsOnce = false;
          throw new Error("the store is full");
        }
        adopted.taken.push(`${isNew ? "new " : ""}${taken.topic}`);
      },
      committed: async () => undefined,
      complete: async ({ received, released }) => {
        Object.assign(adopted, { received, released, state: "here" });
        this.sessions.add(client);
      },
      abandon: () => {
        adopted.state = "abandoned";
      },
    };
  }
}

/** As `will:CLIENT NUL NAME`. */
export function willKey(client: string, name: string): string {
  return `will:${encodeURIComponent(`${client}\0${name}`)}`;
}

async function willsIn(rows: Rows): Promise<KeptWill[]> {
  const wills: KeptWill[] = [];
  for await (const [key] of rows.entries({ gte: "will:", lt: "will;" })) {
    const name = decodeURIComponent(key.slice("will:".length));
    wills.push({ ...message("will", name), name, client: name.split("\0")[0] ?? "" });
  }
  return wills;
}
