import { randomBytes } from "node:crypto";
import { assert, errorFields, FieldgateError } from "../base/errors.ts";
import type { Rows } from "../base/rows.ts";
import type { Service } from "../base/service.ts";
import type { Watchable } from "../base/watchable.ts";
import type { Message } from "../mqtt/message.ts";
import { payloadBytesOf } from "../mqtt/publish-frame.ts";
import { Appender } from "./appender.ts";
import { type Block, LANES } from "./block.ts";
import { BlockReader } from "./block-reader.ts";
import { BlockTail } from "./block-tail.ts";
import { Copying } from "./copying.ts";
import { type JournalCounters, type JournalFigures, newCounters } from "./counters.ts";
import { Cursors } from "./cursors.ts";
import { BOOTS_SPACE, Dating } from "./dating.ts";
import { writeEndMark } from "./end-mark.ts";
import { writeMeta } from "./format.ts";
import { GroupCommit } from "./group-commit.ts";
import type {
  BlockCopies,
  Cursor,
  Entries,
  Journal,
  JournalRoom,
  JournalState,
  Queue,
  ReadLimits,
} from "./journal.ts";
import type { JournalOptions, JournalTools } from "./options.ts";
import { Queues } from "./queues.ts";
import { Retention } from "./retention.ts";
import { RowSpaces } from "./row-spaces.ts";
import { Shedding } from "./shedding.ts";
import { Space } from "./space.ts";
import { beyond, type Opened, openStore, START_MS_MAX } from "./start.ts";
import type { Store } from "./store.ts";

/** How often it is noted where the journal ends; a start has come to something when it has lasted so long. */
const NOTE_EVERY_MS = 60_000;

/** A journal on a store: what the implementations have in common, which is everything but the disk. */
export class StoreJournal implements Journal, Service {
  readonly name = "journal";
  /** A store that is damaged or under suspicion is read from end to end before it is used, at the speed of a card. */
  readonly startMsMax = START_MS_MAX;
  readonly counters: JournalCounters = newCounters();
  readonly state: Watchable<JournalState>;
  readonly copies: BlockCopies;
  protected readonly store: Store;
  protected readonly options: JournalOptions;
  protected readonly tools: JournalTools;
  readonly #commit: GroupCommit;
  readonly #appender: Appender;
  readonly #blocks: BlockReader;
  readonly #cursors: Cursors;
  readonly #queues: Queues;
  readonly #rows: RowSpaces;
  readonly #dating: Dating;
  readonly #space: Space;
  readonly #retention: Retention;
  #opened: Opened | null = null;
  readonly #givenUp = new AbortController();
  #starting: Promise<void> = Promise.resolve();
  #entriesBefore = 0;
  #stopTimer: () => void = () => {};

  constructor(store: Store, options: JournalOptions, tools: JournalTools) {
    this.store = store;
    this.options = options;
    this.tools = tools;
    const { counters } = this;
    const { log } = tools;
    const durableSeq = () => this.durableSeq;
    const journal = this;
    const bounds = {
      get durableSeq() {
        return journal.durableSeq;
      },
      get trimmedSeq() {
        return journal.#retention.trimmedSeq;
      },
      get missedSeq() {
        const position = journal.#opened?.position;
        return position && position.missed > 0 ? position.lastSeq : null;
      },
    };
    const space = new Space(options.bytesMax, store, counters);
    const relieve = (error: unknown) => space.relieve(error);
    const commit = new GroupCommit({ store, relieve }, options, tools, counters);
    const tail = new BlockTail(options.tailBytesMax);
    const isExhausted = () => space.isExhausted;
    this.#rows = new RowSpaces({ store, commit, isExhausted }, counters);
    const dating = new Dating(tools.timepiece ?? null, tools.clock, this.rows(BOOTS_SPACE));
    const blocks = new BlockReader({ store, tail, bounds, dating, log }, options, counters);
    const rowBytesMax = options.tailBytesMax / 4;
    const queues = new Queues({ store, commit, blocks, durableSeq, log }, rowBytesMax, counters);
    const cursors = new Cursors(commit, counters);
    this.state = commit.state;
    this.#commit = commit;
    this.#blocks = blocks;
    this.#queues = queues;
    this.#cursors = cursors;
    this.#space = space;
    this.#dating = dating;
    const readers = { store, commit, blocks, cursors, queues, durableSeq };
    const shedding = new Shedding(readers, options, log);
    this.#retention = new Retention({ ...readers, space, shedding }, options, tools, counters);
    const told = {
      sealed: (block: Block) => queues.seal(block.firstSeq),
      durable: (block: Block) => tail.add(block),
    };
    this.#appender = new Appender(options.blockBytesMax, counters, told, () => dating.stamp());
    this.copies = new Copying({
      ...readers,
      space,
      appender: this.#appender,
      retention: this.#retention,
    });
  }

  start(signal: AbortSignal): Promise<void> {
    assert(this.#opened === null, "a journal is started once");
    const both = AbortSignal.any([signal, this.#givenUp.signal]);
    this.#starting = this.#start(both).catch((error: unknown) => {
      throw both.aborted || error instanceof FieldgateError ? error : unopened(error);
    });
    return this.#starting;
  }

  async #start(signal: AbortSignal): Promise<void> {
    const newId = this.options.id ?? randomBytes(16).toString("hex");
    const relieve = (error: unknown) => this.#space.relieve(error);
    const { store, tools, counters } = this;
    const opened = await openStore(store, newId, tools, counters, relieve, signal);
    this.#opened = opened;
    try {
      signal.throwIfAborted();
      await this.#cursors.load(this.store);
      await this.#queues.load();
      await this.#retention.load(opened.end?.trimmed);
      await this.#dating.load();
      await this.#mendIfDamaged(signal);
      const seenSeq = Math.max(this.#cursors.highestSeq(), this.#queues.highestSeq);
      this.#appender.begin(beyond(opened.position, seenSeq));
      this.#entriesBefore = this.#appender.laneTotals.reduce((sum, total) => sum + total, 0);
      await this.#space.measure();
      signal.throwIfAborted();
    } catch (error) {
      await this.#space.end();
      await this.store.close();
      throw error;
    }
    this.#commit.start([this.#appender, this.#queues, this.#cursors, this.#rows, this.#retention]);
    this.#retention.start();
    this.#stopTimer = this.tools.clock.every(NOTE_EVERY_MS, () => void this.#note(false));
  }

  /** Where the journal ends, noted beside the store; and that this start has come to something. */
  async #note(sync: boolean): Promise<void> {
    const entries = this.#entriesBefore + this.counters.entries;
    const { trimmed } = this.#retention;
    const mark = { id: this.id, seq: this.durableSeq, entries, trimmed };
    await this.store.notes.drop("starts");
    await writeEndMark(this.store, mark, sync);
  }

  /** What cannot be read of an open store is taken out: a merge of its tables would meet it and end all writes. */
  async #mendIfDamaged(signal: AbortSignal): Promise<void> {
    const { damage } = this.store;
    const { log } = this.tools;
    const { logBytesDropped } = damage;
    if (logBytesDropped > 0)
      log.info("the store begins without the last writes", { logBytesDropped });
    if (damage.unreadable === 0) return;
    await this.store.close();
    const isMended = await this.store.mend(async () => true, signal);
    await this.store.open();
    const { unreadable, filesLost } = damage;
    const what = isMended
      ? "parts of the store cannot be read: it was repaired without them"
      : "parts of the store cannot be read, and it cannot be repaired";
    log.error(what, { unreadable, filesLost });
  }

  async stop(): Promise<void> {
    this.#givenUp.abort();
    await this.#starting.catch(() => {});
    if (this.state.get().at === "closed") return;
    this.#stopTimer();
    this.#retention.end();
    try {
      await this.#commit.stop();
      await this.#retention.ended();
      // Nothing was synced until now.
      if (this.options.durability === "fast") await writeMeta(this.store, this.id);
      await this.#note(true);
    } catch (error) {
      this.tools.log.error("the journal closes without its last entries", errorFields(error));
      throw error;
    } finally {
      await this.#space.end();
      await this.store.close();
    }
  }

  /** Ends at once, as if the process had died: nothing that gathers is written, and who waits for it is told. */
  async kill(): Promise<void> {
    this.#stopTimer();
    this.#retention.end();
    this.#commit.kill();
    await this.#retention.ended();
    await this.#space.end();
    await this.store.close();
  }

  get id(): string {
    assert(this.#opened !== null, "a journal has an id once it was started");
    return this.#opened.id;
  }
  /** Where a store that could not be opened was set aside when this one was started; null if that was not so. */
  get quarantine(): string | null {
    return this.#opened?.quarantine ?? null;
  }
  /** What it counted since it was started. */
  figures(): JournalFigures {
    const { times } = this.#commit;
    const { unreadable, filesLost, logBytesDropped } = this.store.damage;
    return {
      ...this.counters,
      unreadable,
      filesLost,
      logBytesDropped,
      commitMsMedian: times.quantile(0.5),
      commitMsP99: times.quantile(0.99),
    };
  }
  get lastSeq(): number {
    return this.#appender.lastSeq;
  }
  get durableSeq(): number {
    return this.#appender.durableSeq;
  }
  get pendingBytes(): number {
    return this.#appender.pendingBytes;
  }
  get laneTotals(): readonly number[] {
    return this.#appender.laneTotals;
  }
  get storeBytes(): number {
    return this.#space.bytes;
  }
  get freeBytes(): number {
    return this.#space.freeBytes;
  }
  get room(): JournalRoom {
    return this.#space.room;
  }

  append(message: Message, lane: number, wallMs: number, queues: readonly Queue[]): number {
    const pendingBytes = this.#appender.pendingBytes;
    if (!this.#commit.running || this.#space.isFull(pendingBytes)) throw this.#refusal();
    if (pendingBytes >= this.options.pendingBytesMax) throw this.#pendingRefusal();
    assert(lane >= 0 && lane < LANES, "a lane is a number from 0 to 15");
    if (message.qos === 0 && this.#givesWay(lane, pendingBytes)) throw this.#space.refusal();
    const seq = this.#appender.append(message, lane, wallMs);
    if (queues.length > 0) {
      const bytes = message.topic.length + payloadBytesOf(message);
      this.#queues.note(queues, this.#appender.position, bytes);
    }
    this.#commit.want();
    return seq;
  }

  committed(): Promise<void> {
    return this.#commit.flush();
  }

  onCommit(listener: (durableSeq: number) => void): () => void {
    return this.#commit.onCommit(() => listener(this.durableSeq));
  }

  beforeCommit(listener: () => void): () => void {
    return this.#commit.beforeCommit(listener);
  }

  read(afterSeq: number, limits: ReadLimits, lane?: number): Promise<Entries> {
    return this.#blocks.read(afterSeq, limits, lane);
  }

  cursor(name: string): Cursor {
    return this.#cursors.cursor(name);
  }
  cursorNames(): readonly string[] {
    return this.#cursors.names();
  }
  forgetCursor(name: string): void {
    this.#cursors.forget(name);
  }

  queue(name: string, afterIndex = 0): Queue {
    return this.#queues.queue(name, afterIndex);
  }
  queueNames(): readonly string[] {
    return this.#queues.names();
  }

  rows(space: string): Rows {
    return this.#rows.space(space);
  }

  /** The wall clock may have become synchronised: what waits is dated by it, also after the machine is started again. */
  clockChanged(): void {
    this.#dating.note();
  }

  /** Trims now whatever can go, and gives its space back; what otherwise happens by itself when it is worth it. */
  tidy(): Promise<void> {
    return this.#retention.tidy(0);
  }

  #givesWay(lane: number, pendingBytes: number): boolean {
    return this.options.lanes[lane]?.whenFull === "drop-qos0" && this.#space.isTight(pendingBytes);
  }

  #refusal(): FieldgateError {
    if (this.#commit.running) return this.#space.refusal();
    return new FieldgateError("ERR_STORE_CLOSED", "the journal is not open: nothing was taken");
  }

  #pendingRefusal(): FieldgateError {
    this.counters.refusedPending++;
    return new FieldgateError(
      "ERR_STORE_FULL",
      "too much waits for the disk: the publisher must wait until it is durable",
      { details: { pendingBytesMax: this.options.pendingBytesMax } },
    );
  }
}

/** The disk refused what a start reads or writes once the store is open. */
function unopened(cause: unknown): FieldgateError {
  const text = cause instanceof Error ? cause.message : String(cause);
  return new FieldgateError("ERR_STORE_OPEN", `the store cannot be opened: ${text}`, { cause });
}
