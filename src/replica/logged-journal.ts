import type { Clock } from "../base/clock.ts";
import { errorFields, FieldgateError } from "../base/errors.ts";
import { Fifo } from "../base/fifo.ts";
import type { Log } from "../base/log.ts";
import type { Rows } from "../base/rows.ts";
import type { Message } from "../mqtt/message.ts";
import {
  bytesOf,
  isSpace,
  LOG_LANE,
  logEntries,
  putRecord,
  SEQ_BYTES,
  type SiteRecord,
  SPACES,
  type Space,
} from "./site-log.ts";

interface LoggedQueue {
  readonly name: string;
  readonly headIndex: number;
  readonly tailIndex: number;
}

/** What is logged of a journal. */
interface Kept<Queue, OwnRows> {
  readonly lastSeq: number;
  readonly durableSeq: number;
  readonly pendingBytes: number;
  append(message: Message, lane: number, wallMs: number, queues: readonly Queue[]): number;
  committed(): Promise<void>;
  onCommit(listener: (durableSeq: number) => void): () => void;
  beforeCommit(listener: () => void): () => void;
  queue(name: string, afterIndex?: number): Queue;
  queueNames(): readonly string[];
  rows(space: string): OwnRows;
}

/** A message that was taken while someone listened. */
export type Captured = Message & { readonly wallMs: number; readonly lane: number };

export interface LoggedTools {
  readonly clock: Clock;
  readonly log: Log;
  /** Heads of queues are told so often: what a client acknowledged since is sent to it again by another gateway. */
  readonly headsEveryMs: number;
  /** What gathers while the journal takes nothing. */
  readonly recordBytesMax: number;
  /** Records were given up: all is to be told again, by `tellAll`. */
  readonly lost: () => void;
}

/**
 * A journal that writes into itself what other gateways must know of its sessions: which entries wait for whom, and what is
 * kept of each. See site-log.ts.
 *
 * While the journal is full, records gather up to `recordBytesMax`. Beyond that they are given up, and all is told again when there is
 * room; until that is written, messages that they told of are not `through`.
 */
export class LoggedJournal<Queue extends LoggedQueue, OwnRows extends Rows> {
  readonly #journal: Kept<Queue, OwnRows>;
  readonly #isLogged: (queue: string) => boolean;
  readonly #tools: LoggedTools;
  readonly #rows = new Map<string, OwnRows>();
  #records: SiteRecord[] = [];
  #recordBytes = 0;
  /** Records were given up, and all is not being told again yet. */
  #isLost = false;
  /** Messages from there on were told of in records that were given up; safe when the entry at `logSeq` is. */
  #held: { readonly firstSeq: number; readonly logSeq: number | null } | null = null;
  #waits = new Map<Queue, number[]>();
  /** Queues with something that other gateways do not know to be acknowledged, and the head that they know. */
  readonly #open = new Map<string, { readonly queue: Queue; head: number }>();
  /** The first message that was taken since the log was written last. */
  #firstSeq: number | null = null;
  /** Messages from `firstSeq` on are safe when the entry at `logSeq` is. */
  readonly #marks = new Fifo<{ readonly firstSeq: number; readonly logSeq: number }>();
  readonly #captures = new Set<(message: Captured) => void>();
  readonly #watchers = new Set<(record: SiteRecord) => void>();
  #stops: (() => void)[] = [];

  /** @param isLogged whether a queue of that name is a session's */
  constructor(
    journal: Kept<Queue, OwnRows>,
    isLogged: (queue: string) => boolean,
    tools: LoggedTools,
  ) {
    this.#journal = journal;
    this.#isLogged = isLogged;
    this.#tools = tools;
  }

  begin(): void {
    this.#stops = [
      this.#journal.beforeCommit(() => this.#write()),
      this.#tools.clock.every(this.#tools.headsEveryMs, () => this.#tellHeads()),
    ];
  }

  end(): void {
    this.#tellHeads();
    for (const stop of this.#stops) stop();
    this.#stops = [];
  }

  get lastSeq(): number {
    return this.#journal.lastSeq;
  }
  get durableSeq(): number {
    return this.#journal.durableSeq;
  }
  get pendingBytes(): number {
    return this.#journal.pendingBytes;
  }

  /** Of what is said of sessions and not written yet, about. */
  get recordBytes(): number {
    return this.#recordBytes;
  }

  append(message: Message, lane: number, wallMs: number, queues: readonly Queue[]): number {
    const seq = this.#journal.append(message, lane, wallMs, queues);
    this.#firstSeq ??= seq;
    for (const queue of this.#isLost ? [] : queues) {
      if (this.#isLogged(queue.name)) this.#note(queue, seq);
    }
    this.#bound();
    for (const captured of this.#captures) captured({ ...copyOf(message), wallMs, lane });
    return seq;
  }

  committed(): Promise<void> {
    return this.#journal.committed();
  }
  onCommit(listener: (durableSeq: number) => void): () => void {
    return this.#journal.onCommit(listener);
  }
  queue(name: string, afterIndex = 0): Queue {
    return this.#journal.queue(name, afterIndex);
  }
  queueNames(): readonly string[] {
    return this.#journal.queueNames();
  }

  rows(space: string): OwnRows {
    const known = this.#rows.get(space);
    if (known !== undefined) return known;
    const rows = this.#journal.rows(space);
    const made = isSpace(space) ? this.#logged(space, rows) : rows;
    this.#rows.set(space, made);
    return made;
  }

  /** Of what is durable up to `seq`, up to where it is so together with its log. */
  through(seq: number): number {
    if (this.#held !== null) {
      const { firstSeq, logSeq } = this.#held;
      if (logSeq === null || seq < logSeq) return Math.min(seq, firstSeq - 1);
      this.#held = null;
    }
    for (let mark = this.#marks.peek(); mark && mark.logSeq <= seq; mark = this.#marks.peek()) {
      this.#marks.shift();
    }
    const firstSeq = this.#marks.peek()?.firstSeq ?? this.#firstSeq;
    const isLogged = this.#marks.length === 0 && this.#records.length === 0;
    return isLogged || firstSeq === null ? seq : Math.min(seq, firstSeq - 1);
  }

  /** Other gateways may have the session as it is now. */
  moved(client: string, to: string): void {
    this.#tellHead(client);
    this.#say(["moved", client, to]);
    this.#write();
  }

  /** Tells `took` of each message from now on, until the returned function is called. */
  capture(took: (message: Captured) => void): () => void {
    this.#captures.add(took);
    return () => this.#captures.delete(took);
  }

  /** Tells `listener` of each record, in the turn in which it happens. */
  watch(listener: (record: SiteRecord) => void): void {
    this.#watchers.add(listener);
  }

  /**
   * Writes all that there is, for gateways that have missed what was written before.
   * @throws FieldgateError ERR_STORE_FULL when there is no room for it: to be called again
   */
  async tellAll(): Promise<void> {
    const changed = this.#tellFrom();
    const tails = this.#journal
      .queueNames()
      .filter((name) => this.#isLogged(name))
      .map((name) => ({ name, queue: this.#journal.queue(name) }))
      .map(({ name, queue }) => ({ name, queue, tailIndex: queue.tailIndex }));
    try {
      await this.#journal.committed();
      for (const space of SPACES) {
        for await (const [key, value] of this.#journal.rows(space).entries({})) {
          if (changed.isOld(space, key)) this.#say(putRecord(space, key, value));
          this.#checkWritten();
        }
      }
      for (const { name, queue, tailIndex } of tails) {
        await this.#tellQueue(name, queue, tailIndex);
        this.#checkWritten();
      }
      this.#say(["whole"]);
    } finally {
      this.#watchers.delete(changed.note);
    }
    const logSeq = this.#write();
    if (logSeq === null) throw noRoom();
    if (this.#held !== null) this.#held = { ...this.#held, logSeq };
  }

  #checkWritten(): void {
    this.#bound();
    if (this.#isLost) throw noRoom();
  }

  /** What changes from now on is told by itself. */
  #tellFrom() {
    const keys = new Set<string>();
    const ranges: { readonly space: Space; readonly gte: string; readonly lt: string }[] = [];
    const note = (record: SiteRecord) => {
      if (record[0] === "put" || record[0] === "del") keys.add(`${record[1]}\0${record[2]}`);
      if (record[0] === "clear") ranges.push({ space: record[1], gte: record[2], lt: record[3] });
    };
    const isOld = (space: Space, key: string) =>
      !keys.has(`${space}\0${key}`) &&
      !ranges.some((one) => one.space === space && key >= one.gte && key < one.lt);
    if (this.#isLost) {
      this.#isLost = false;
      this.#firstSeq = null; // held until all is told
    }
    this.#waits = new Map(); // what is said of a queue from now on comes behind this
    this.#say(["all"]);
    this.#watchers.add(note);
    return { note, isOld };
  }

  async #tellQueue(name: string, queue: Queue, tailIndex: number): Promise<void> {
    const readable = queue as unknown as ReadableQueue;
    this.#say(["head", name, queue.headIndex]);
    this.#open.set(name, { queue, head: queue.headIndex });
    for (let after = queue.headIndex; after < tailIndex; ) {
      const found = await readable.read(after, { messagesMax: 1024, bytesMax: 2 ** 20 });
      if (found.length === 0 || this.#open.get(name)?.queue !== queue) return;
      let run: { first: number; seqs: number[] } | null = null;
      for (const { index, entry } of found.filter((one) => one.index <= tailIndex)) {
        if (run === null || index !== run.first + run.seqs.length) {
          run = { first: index, seqs: [] };
          this.#say(["waits", name, index, run.seqs]);
        }
        run.seqs.push(entry.seq);
      }
      after = found.at(-1)?.index ?? tailIndex;
    }
  }

  #note(queue: Queue, seq: number): void {
    const known = this.#waits.get(queue);
    if (known !== undefined) {
      known.push(seq);
      this.#recordBytes += SEQ_BYTES;
      return;
    }
    const seqs = [seq];
    this.#waits.set(queue, seqs);
    const index = queue.tailIndex;
    if (this.#open.get(queue.name)?.queue !== queue) {
      this.#say(["head", queue.name, index - 1]);
      this.#open.set(queue.name, { queue, head: index - 1 });
    }
    this.#say(["waits", queue.name, index, seqs]);
  }

  #say(record: SiteRecord): void {
    if (!this.#isLost) {
      this.#records.push(record);
      this.#recordBytes += bytesOf(record);
    }
    for (const watch of this.#watchers) watch(record);
  }

  /** To be called when all that a message or a row says was said. */
  #bound(): void {
    if (this.#recordBytes <= this.#tools.recordBytesMax || this.#write() !== null) return;
    const { log, lost, recordBytesMax } = this.#tools;
    log.warn("what is said of sessions finds no room: all will be told again", { recordBytesMax });
    const firstSeq = this.#firstSeq ?? this.#journal.lastSeq + 1;
    this.#held = { firstSeq: Math.min(this.#held?.firstSeq ?? firstSeq, firstSeq), logSeq: null };
    this.#isLost = true;
    this.#forgetRecords();
    this.#open.clear();
    lost();
  }

  #forgetRecords(): void {
    this.#records = [];
    this.#recordBytes = 0;
    this.#waits = new Map();
  }

  #tellHeads(): void {
    let isNews = false;
    for (const name of this.#open.keys()) if (this.#tellHead(name)) isNews = true;
    if (isNews) this.#write();
  }

  #tellHead(name: string): boolean {
    const known = this.#open.get(name);
    if (known === undefined) return false;
    const { headIndex, tailIndex } = known.queue;
    if (headIndex === tailIndex) this.#open.delete(name);
    if (headIndex <= known.head) return false;
    known.head = headIndex;
    this.#say(["head", name, headIndex]);
    return true;
  }

  /**
   * Into the commit that is gathering. While that is refused it waits, and so do those whose messages it tells of.
   * @returns the last seq that was written; null when nothing was
   */
  #write(): number | null {
    if (this.#isLost) return null;
    if (this.#records.length === 0) {
      this.#firstSeq = null;
      return null;
    }
    const { clock, log } = this.#tools;
    let logSeq = 0;
    try {
      for (const payload of logEntries(this.#records)) {
        const message = { topic: LOG_TOPIC, payload, qos: 1, retain: false } as const;
        logSeq = this.#journal.append(
          { ...message, properties: null },
          LOG_LANE,
          clock.wallMs(),
          [],
        );
      }
    } catch (error) {
      if (!(error instanceof FieldgateError)) throw error;
      log.debug("the log of sessions waits", errorFields(error));
      return null;
    }
    this.#marks.push({ firstSeq: this.#firstSeq ?? logSeq, logSeq });
    this.#forgetRecords();
    this.#firstSeq = null;
    return logSeq;
  }

  #logged(space: Space, rows: OwnRows): OwnRows {
    const logged: Rows = {
      get: (key) => rows.get(key),
      entries: (range) => rows.entries(range),
      put: (key, value) => {
        this.#say(putRecord(space, key, value));
        this.#bound();
        return rows.put(key, value);
      },
      del: (key) => {
        if (space === "session") this.#open.delete(key);
        // Else a message of QoS 2 that the client is done with would be one that it has not seen.
        if (space === "released") this.#tellHead(key.slice(0, key.lastIndexOf("\0")));
        this.#say(["del", space, key]);
        this.#bound();
        return rows.del(key);
      },
      clear: (range) => {
        this.#say(["clear", space, range.gte ?? "", range.lt ?? LAST_KEY]);
        this.#bound();
        return rows.clear(range);
      },
    };
    return logged as OwnRows;
  }
}

interface ReadableQueue {
  read(
    afterIndex: number,
    limits: { readonly messagesMax: number; readonly bytesMax: number },
  ): Promise<readonly { readonly index: number; readonly entry: { readonly seq: number } }[]>;
}

const noRoom = () =>
  new FieldgateError("ERR_STORE_FULL", "there is no room for what is said of sessions");

const LOG_TOPIC = "$site";
const LAST_KEY = "\uffff";

function copyOf({ topic, payload, qos, retain }: Message): Message {
  return { topic, payload: Buffer.from(payload), qos, retain, properties: null };
}
