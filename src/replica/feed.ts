import type { Clock } from "../base/clock.ts";
import { errorFields } from "../base/errors.ts";
import type { Log } from "../base/log.ts";
import type { Message } from "../mqtt/message.ts";
import type { CopiedSessions } from "./copied-sessions.ts";
import type { ReplicationCounters } from "./counters.ts";
import type { CopiedJournal, FedJournal } from "./ports.ts";
import { LOG_LANE, readLogEntry, type SiteRecord } from "./site-log.ts";
import type { Turns } from "./turns.ts";

/**
 * The lane of what came from a peer. No uplink reads it, and no feed passes it on: so each message goes one step, from the gateway that
 * took it in, and never in a circle.
 */
export const PEER_LANE = 15;

export interface FeedTools {
  readonly clock: Clock;
  readonly log: Log;
  readonly counters: ReplicationCounters;
  /** Of our own journal: where each feed stands, in the commit of what it has brought. */
  readonly rows: CopiedJournal["rows"];
  /** The same, and other gateways are told: their sessions may go on from there. */
  readonly loggedRows: CopiedJournal["rows"];
  /** One feed at a time brings something. */
  readonly turns: Turns;
  /** The gateway has said something of its sessions; it is in `CopiedSessions` already. */
  readonly heard: (record: SiteRecord, gateway: string) => void;
  /** Grows when something was taken into our own journal. */
  readonly lastSeq: () => number;
  /** Takes a message for those who are subscribed here. Why it was not taken, or null. */
  readonly take: (message: Message, gateway: string, wallMs: number) => string | null;
}

const LIMITS = { messagesMax: 512, bytesMax: 2 ** 20 };
const RETRY_MS = 200;
const ROWS = "feed";
/** Where it stands is kept with the next message that it brings, or after this time when none concerned anybody here. */
const KEEP_EVERY_MS = 1000;
/** Of a copy: what the feed has not passed is not trimmed. */
const FEED_CURSOR = "feed";

/**
 * The messages that another gateway took in, on their way from our copy of its journal to the subscribers here: in order, and once for
 * each persistent session, as where the feed stands is durable in the same commit as what it has brought.
 */
export class Feed {
  readonly #tools: FeedTools;
  readonly #replica: FedJournal;
  readonly #gateway: string;
  /** The sessions of that gateway. */
  readonly sessions: CopiedSessions;
  readonly #life = new AbortController();
  #seq = 0;
  #keptSeq = 0;
  #keptMs = 0;
  #isRunning = false;
  #isWanted = false;
  #running: Promise<void> = Promise.resolve();
  #unfollow: () => void = () => {};

  constructor(replica: FedJournal, gateway: string, sessions: CopiedSessions, tools: FeedTools) {
    this.sessions = sessions;
    this.#tools = tools;
    this.#replica = replica;
    this.#gateway = gateway;
  }

  get gateway(): string {
    return this.#gateway;
  }
  get journal(): FedJournal {
    return this.#replica;
  }
  /** Everything up to here was brought. */
  get seq(): number {
    return this.#seq;
  }

  async start(): Promise<void> {
    await this.sessions.load();
    const row = await this.#tools.rows(ROWS).get(this.#replica.id);
    const kept = row === undefined ? 0 : Number(new TextDecoder().decode(row));
    // A copy that was set aside and made anew begins before that: what was brought is not brought again.
    this.#seq = Number.isSafeInteger(kept) ? kept : 0;
    this.#keptSeq = this.#seq;
    this.#replica.cursor(FEED_CURSOR).move(Math.min(this.#seq, this.#replica.durableSeq), 0);
    this.#unfollow = this.#replica.onCommit(() => this.#wake());
    this.#wake();
  }

  async stop(): Promise<void> {
    this.#life.abort();
    this.#unfollow();
    await this.#running;
    if (this.#seq > this.#keptSeq) await this.#keep(this.#seq, false);
  }

  /** Tells other gateways where it stands, in the commit that gathers now. */
  tell(): void {
    void this.#keep(this.#seq, true);
  }

  #wake(): void {
    this.#isWanted = true;
    if (this.#isRunning || this.#life.signal.aborted) return;
    this.#isRunning = true;
    this.#running = this.#run().finally(() => {
      this.#isRunning = false;
    });
  }

  async #run(): Promise<void> {
    const { clock, log } = this.#tools;
    while (this.#isWanted && !this.#life.signal.aborted) {
      this.#isWanted = false;
      try {
        while (this.#seq < this.#replica.durableSeq && !this.#life.signal.aborted) {
          if (!(await this.#tools.turns.run(() => this.#bring()))) throw new Error("not taken");
        }
      } catch (error) {
        log.debug("a feed waits", { gateway: this.#gateway, ...errorFields(error) });
        this.#isWanted = true;
        await clock.sleep(RETRY_MS, this.#life.signal).catch(() => undefined);
      }
    }
  }

  /** @returns whether everything that was read was taken */
  async #bring(): Promise<boolean> {
    const { take, lastSeq, counters } = this.#tools;
    const { entries, throughSeq } = await this.#replica.read(this.#seq, LIMITS);
    if (this.#life.signal.aborted) return true;
    const isTold = await this.#listen(entries);
    const before = lastSeq();
    let through = throughSeq;
    let isNews = isTold;
    for (const { seq, lane, wallMs, message } of entries) {
      if (lane === PEER_LANE || lane === LOG_LANE) continue;
      isNews = true;
      if (take(message, this.#gateway, wallMs) !== null) {
        through = seq - 1;
        break;
      }
      counters.messagesFed++;
    }
    const isWhole = through === throughSeq;
    this.#seq = Math.max(this.#seq, through);
    // In the same turn of the event loop: they are durable together.
    const nowMs = this.#tools.clock.monotonicMs();
    if ((isNews && lastSeq() !== before) || nowMs - this.#keptMs >= KEEP_EVERY_MS) {
      this.#keptMs = nowMs;
      void this.#keep(this.#seq, isNews);
    }
    return isWhole;
  }

  /** What the gateway says of its sessions. Durable when it resolves: said again it is the same. True when it is of its own sessions. */
  async #listen(entries: readonly Entry[]): Promise<boolean> {
    let isNews = false;
    const said: SiteRecord[] = [];
    for (const { lane, message } of entries) {
      if (lane !== LOG_LANE) continue;
      try {
        said.push(...readLogEntry(message.payload));
      } catch (error) {
        const fields = { gateway: this.#gateway, ...errorFields(error) };
        this.#tools.log.warn("what a gateway says of its sessions is not understood", fields);
      }
    }
    for (const record of said) {
      await this.sessions.apply(record);
      // Where its feeds stand: an answer to that would be answered in turn.
      if (record[0] !== "put" || record[1] !== "feed") isNews = true;
    }
    if (said.length > 0) await this.#replica.committed();
    for (const record of said) this.#tools.heard(record, this.#gateway);
    return isNews;
  }

  /** Durable when it resolves, unless that fails. What the feed may read again after a crash is not trimmed before. */
  async #keep(seq: number, tells: boolean): Promise<void> {
    const { rows, loggedRows, log } = this.#tools;
    this.#keptSeq = seq;
    const row = new TextEncoder().encode(String(seq));
    try {
      await (tells ? loggedRows : rows)(ROWS).put(this.#replica.id, row);
      this.#replica.cursor(FEED_CURSOR).move(seq, 0);
    } catch (error) {
      log.warn("where a feed stands is not kept", errorFields(error));
    }
  }
}

type Entry = Awaited<ReturnType<FedJournal["read"]>>["entries"][number];
