import type { Clock } from "../base/clock.ts";
import { errorFields, FieldgateError } from "../base/errors.ts";
import { Fifo } from "../base/fifo.ts";
import type { Log } from "../base/log.ts";
import type { Message } from "../mqtt/message.ts";
import type { SpaceRows } from "./ports.ts";
import { isSpace, LOG_LANE, logEntries, type SiteRecord, SPACES, type Space } from "./site-log.ts";

interface LoggedQueue {
  readonly name: string;
  readonly headIndex: number;
  readonly tailIndex: number;
}

/** What is logged of a journal. */
interface Kept<Queue, Rows> {
  readonly lastSeq: number;
  readonly durableSeq: number;
  readonly pendingBytes: number;
  append(message: Message, lane: number, wallMs: number, queues: readonly Queue[]): number;
  committed(): Promise<void>;
  onCommit(listener: (durableSeq: number) => void): () => void;
  beforeCommit(listener: () => void): () => void;
  queue(name: string, afterIndex?: number): Queue;
  queueNames(): readonly string[];
  rows(space: string): Rows;
}

/** A message that was taken while someone listened. */
export type Captured = Message & { readonly wallMs: number; readonly lane: number };

/** Heads of queues are told so often: what a client acknowledged since is sent to it again by another gateway. */
const HEADS_EVERY_MS = 200;

/**
 * A journal that writes into itself what other gateways must know of its sessions: which entries wait for whom, and what is
 * kept of each. See site-log.ts.
 */
export class LoggedJournal<Queue extends LoggedQueue, Rows extends SpaceRows> {
  readonly #journal: Kept<Queue, Rows>;
  readonly #isLogged: (queue: string) => boolean;
  readonly #tools: { readonly clock: Clock; readonly log: Log };
  readonly #rows = new Map<string, Rows>();
  #records: SiteRecord[] = [];
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
    journal: Kept<Queue, Rows>,
    isLogged: (queue: string) => boolean,
    tools: { readonly clock: Clock; readonly log: Log },
  ) {
    this.#journal = journal;
    this.#isLogged = isLogged;
    this.#tools = tools;
  }

  begin(): void {
    this.#stops = [
      this.#journal.beforeCommit(() => this.#write()),
      this.#tools.clock.every(HEADS_EVERY_MS, () => this.#tellHeads()),
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

  append(message: Message, lane: number, wallMs: number, queues: readonly Queue[]): number {
    const seq = this.#journal.append(message, lane, wallMs, queues);
    this.#firstSeq ??= seq;
    for (const queue of queues) {
      if (this.#isLogged(queue.name)) this.#note(queue, seq);
    }
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

  rows(space: string): Rows {
    const known = this.#rows.get(space);
    if (known !== undefined) return known;
    const rows = this.#journal.rows(space);
    const made = isSpace(space) ? this.#logged(space, rows) : rows;
    this.#rows.set(space, made);
    return made;
  }

  /** Of what is durable up to `seq`, up to where it is so together with its log. */
  through(seq: number): number {
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

  /** Writes all that there is, for gateways that have missed what was written before. */
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
        }
      }
      for (const { name, queue, tailIndex } of tails) await this.#tellQueue(name, queue, tailIndex);
      this.#say(["whole"]);
    } finally {
      this.#watchers.delete(changed.note);
    }
    this.#write();
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
    this.#records.push(record);
    for (const watch of this.#watchers) watch(record);
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

  /** Into the commit that is gathering. While that is refused it waits, and so do those whose messages it tells of. */
  #write(): void {
    if (this.#records.length === 0) {
      this.#firstSeq = null;
      return;
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
      return;
    }
    this.#marks.push({ firstSeq: this.#firstSeq ?? logSeq, logSeq });
    this.#records = [];
    this.#waits = new Map();
    this.#firstSeq = null;
  }

  #logged(space: Space, rows: Rows): Rows {
    const logged: SpaceRows = {
      get: (key) => rows.get(key),
      entries: (range) => rows.entries(range),
      put: (key, value) => {
        this.#say(putRecord(space, key, value));
        return rows.put(key, value);
      },
      del: (key) => {
        if (space === "session") this.#open.delete(key);
        // Else a message of QoS 2 that the client is done with would be one that it has not seen.
        if (space === "released") this.#tellHead(key.slice(0, key.lastIndexOf("\0")));
        this.#say(["del", space, key]);
        return rows.del(key);
      },
      clear: (range) => {
        this.#say(["clear", space, range.gte ?? "", range.lt ?? LAST_KEY]);
        return rows.clear(range);
      },
    };
    return logged as Rows;
  }
}

interface ReadableQueue {
  read(
    afterIndex: number,
    limits: { readonly messagesMax: number; readonly bytesMax: number },
  ): Promise<readonly { readonly index: number; readonly entry: { readonly seq: number } }[]>;
}

const LOG_TOPIC = "$site";
const LAST_KEY = "\uffff";

function putRecord(space: Space, key: string, value: Uint8Array): SiteRecord {
  return ["put", space, key, Buffer.from(value).toString("base64")];
}

function copyOf({ topic, payload, qos, retain }: Message): Message {
  return { topic, payload: Buffer.from(payload), qos, retain, properties: null };
}
