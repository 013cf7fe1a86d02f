import type { Clock } from "../base/clock.ts";
import type { Rows } from "../base/rows.ts";
import { FilterTree } from "../mqtt/filter-tree.ts";
import type { Message, QoS } from "../mqtt/message.ts";
import type { Reference } from "./copied-sessions.ts";
import { type Feed, PEER_LANE } from "./feed.ts";
import type { Feeds } from "./feeds.ts";
import type { Captured } from "./logged-journal.ts";
import type { Cursor, FedJournal } from "./ports.ts";
import { LOG_LANE } from "./site-log.ts";

/** What moving a session needs of our own journal. */
export interface OwnJournal extends FedJournal {
  readonly lastSeq: number;
  cursor(name: string): Cursor;
  cursorNames(): readonly string[];
  forgetCursor(name: string): void;
  /** Other gateways may have the session as it is now. */
  moved(client: string, to: string): void;
  capture(took: (message: Captured) => void): () => void;
}

interface Subscribed {
  readonly topic: string;
  readonly qos: QoS;
}

/** A will that a gateway keeps for a client. */
export interface KeptWill extends Message {
  /** Names it for good. */
  readonly name: string;
  readonly client: string;
}

/** The sessions of this gateway. */
export interface LocalSessions {
  /** Whether a persistent session is here. */
  has(client: string): boolean;
  close(client: string, reason: string): void;
  giveUp(client: string, reason: string): void;
  /** Out of rows that a gateway has kept. */
  ownerIn(row: Uint8Array): string | null;
  subscriptionsIn(rows: Rows, client: string): Promise<readonly Subscribed[]>;
  willsIn(rows: Rows): Promise<readonly KeptWill[]>;
  /** Publishes it by the rights of its client, into the commit that gathers now. */
  publishWill(will: KeptWill): Promise<void>;
  adopt(client: string, afterIndex: number): Adoption;
}

/** A session on its way to us. */
export interface Adoption {
  /** In order. `isNew`: it did not wait for the session yet, which may have no room for it. */
  take(message: Message, wallMs: number, isNew: boolean): void;
  /** What was taken is on the disk. */
  committed(): Promise<void>;
  /** The session is here. Resolves when that is durable. */
  complete(state: {
    readonly row: Uint8Array;
    readonly subscriptions: readonly Subscribed[];
    readonly received: readonly number[];
    readonly released: readonly number[];
    /** The last ones, taken and not on the disk yet. */
    readonly last: readonly Captured[];
  }): Promise<void>;
  abandon(): void;
}

interface MovingTools {
  readonly clock: Clock;
  readonly journal: OwnJournal;
  readonly feeds: Feeds;
  readonly local: LocalSessions;
}

const LIMITS = { messagesMax: 256, bytesMax: 2 ** 20 };

/** Makes a session of what another gateway's journal says of it, and of what was published since it last heard of the others. */
export class Moving {
  readonly #tools: MovingTools;

  constructor(tools: MovingTools) {
    this.#tools = tools;
  }

  /** The user whose session it is, as far as that is known. */
  async ownerOf(client: string, { sessions }: Feed): Promise<string | null> {
    const row = await sessions.rows("session").get(client);
    return row === undefined ? null : this.#tools.local.ownerIn(row);
  }

  /** Whether we have had from the others whatever that gateway has: else its session would get some of it twice. After `untilMs` so be it. */
  async isLevel(feed: Feed, untilMs: number): Promise<boolean> {
    if (this.#tools.clock.monotonicMs() >= untilMs) return true;
    const theirs = await feed.sessions.feeds();
    return this.#tools.feeds
      .all()
      .every((one) => one === feed || one.seq >= (theirs.get(one.journal.id) ?? 0));
  }

  /**
   * While no feed brings anything. `named` is called in the turn in which the session becomes ours.
   * @throws FieldgateError when a journal cannot be read or written: then nothing has changed
   */
  async bring(client: string, feed: Feed, named: () => Promise<void>): Promise<void> {
    const { journal, feeds, local } = this.#tools;
    const { sessions } = feed;
    const row = (await sessions.rows("session").get(client)) ?? new Uint8Array();
    const subscriptions = await local.subscriptionsIn(sessions.rows("aedes"), client);
    const wants = wantedBy(subscriptions);
    const last: Captured[] = [];
    const end = journal.capture((message) => {
      if (wants(message, message.lane)) last.push(message);
    });
    const takenSeq = journal.lastSeq;
    const { headIndex, references } = await sessions.queue(client);
    const firstIndex = references[0]?.index ?? headIndex + 1;
    const adoption = local.adopt(client, firstIndex - 1);
    try {
      await this.#takeQueued(feed.journal, references, adoption);
      await journal.committed();
      const theirs = await sessions.feeds();
      const others = feeds.all().filter((one) => one !== feed);
      const rest = [
        { journal: journal as FedJournal, throughSeq: takenSeq },
        ...others.map((one) => ({ journal: one.journal, throughSeq: one.seq })),
      ];
      for (const { journal: from, throughSeq } of rest) {
        const afterSeq = theirs.get(from.id);
        if (afterSeq === undefined) continue;
        await this.#takeSince(from, { afterSeq, throughSeq }, wants, adoption);
      }
      await adoption.committed();
      const received = await sessions.numbers("received", client);
      const released = await sessions.numbers("released", client);
      const kept = adoption.complete({ row, subscriptions, received, released, last });
      end();
      await Promise.all([kept, named()]);
    } catch (error) {
      adoption.abandon();
      throw error;
    } finally {
      end();
    }
  }

  async #takeQueued(
    copy: FedJournal,
    references: readonly Reference[],
    adoption: Adoption,
  ): Promise<void> {
    const wanted = new Set(references.map(({ seq }) => seq));
    let last = references[0] === undefined ? 0 : references[0].seq - 1;
    const end = references.at(-1)?.seq ?? 0;
    while (last < end) {
      const { entries, throughSeq } = await copy.read(last, LIMITS);
      for (const { seq, message, wallMs } of entries) {
        if (wanted.has(seq)) adoption.take(message, wallMs, false);
      }
      await adoption.committed();
      if (throughSeq <= last) break;
      last = throughSeq;
    }
  }

  async #takeSince(
    from: FedJournal,
    { afterSeq, throughSeq }: { readonly afterSeq: number; readonly throughSeq: number },
    wants: (message: Message, lane: number) => boolean,
    adoption: Adoption,
  ): Promise<void> {
    for (let last = afterSeq; last < throughSeq; ) {
      const read = await from.read(last, LIMITS);
      for (const { seq, lane, message, wallMs } of read.entries) {
        if (seq <= throughSeq && wants(message, lane)) adoption.take(message, wallMs, true);
      }
      await adoption.committed();
      if (read.throughSeq <= last) break;
      last = read.throughSeq;
    }
  }
}

function wantedBy(subscriptions: readonly Subscribed[]) {
  const tree = new FilterTree<string, true>();
  for (const { topic, qos } of subscriptions) {
    if (qos > 0 && !topic.startsWith("$share/")) tree.set(topic, topic, true);
  }
  return ({ topic, qos }: Message, lane: number): boolean => {
    if (lane === PEER_LANE || lane === LOG_LANE || qos === 0) return false;
    let isWanted = false;
    tree.match(topic, () => {
      isWanted = true;
    });
    return isWanted;
  };
}
