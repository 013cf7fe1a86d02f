import { totalOf } from "../base/counts.ts";
import { FieldgateError } from "../base/errors.ts";
import type { Carrier } from "./carrier.ts";
import { GAP_TOPIC, isOwnTopic } from "./own-topics.ts";
import type { Permit } from "./permit.ts";
import { cursorName, LANES, type LaneName, type Router } from "./rules.ts";
import type { Source, SourceEntry } from "./source.ts";
import type { Dropped, Loss } from "./window.ts";

export interface LaneDeskTools {
  readonly journal: Source;
  readonly route: Router;
  readonly carrier: () => Carrier | null;
  readonly permit: Permit | null;
  /** Of what one look shows. */
  readonly peekBytesMax: number;
}

/** A message that waits in a lane. */
export interface Waiting {
  readonly seq: number;
  /** When it was accepted, by the gateway's wall clock, milliseconds since the epoch. */
  readonly wallMs: number;
  readonly topic: string;
  /** Where it would go now; null when no rule lets it leave any more, and for records of losses. */
  readonly remoteTopic: string | null;
  readonly payload: Uint8Array;
}

export interface Given {
  readonly dropped: number;
  /** Of the first and the last of them; null when there was nothing to give up. */
  readonly firstSeq: number | null;
  readonly lastSeq: number | null;
}

/** What an operator may do with a lane: look, hold, let go on, give up. */
export class LaneDesk {
  readonly #tools: LaneDeskTools;
  readonly #paused = new Set<LaneName>();
  /** Looks that showed less than was asked for, and was there, because of their bound. */
  peeksCut = 0;
  /** One lane is given up at a time. */
  #dropping: Promise<unknown> = Promise.resolve();

  constructor(tools: LaneDeskTools) {
    this.#tools = tools;
  }

  /** Reads which lanes were paused when the gateway last ran. */
  async load(): Promise<void> {
    const row = await this.#tools.journal.rows("uplink").get(PAUSED_KEY);
    const names = row === undefined ? [] : (JSON.parse(Buffer.from(row).toString()) as LaneName[]);
    for (const name of names) this.#paused.add(name);
  }

  isPaused(lane: LaneName): boolean {
    return this.#paused.has(lane);
  }

  /**
   * Sends nothing new of the lane until `resume`, over restarts too. What is in flight may still be acknowledged, what comes
   * in is kept. Resolves when that is on disk.
   * @throws FieldgateError of the store: then it is paused for this run only
   */
  async pause(lane: LaneName): Promise<void> {
    this.#paused.add(lane);
    await this.#keep();
  }

  /** @throws FieldgateError of the store: then the next start finds it paused */
  async resume(lane: LaneName): Promise<void> {
    this.#paused.delete(lane);
    this.#tools.carrier()?.wake();
    await this.#keep();
  }

  /**
   * The oldest messages of a lane that the cloud has not acknowledged, in order; those in flight are among them.
   * @param messagesMax there may be fewer although more wait: `peekBytesMax` bounds them, and `peeksCut` counts that
   * @throws FieldgateError ERR_STORE_CLOSED
   */
  async peek(lane: LaneName, messagesMax: number): Promise<readonly Waiting[]> {
    const { journal, route, peekBytesMax: bytesMax } = this.#tools;
    const { seq } = journal.cursor(cursorName(lane));
    const { durableSeq } = journal;
    const read = await journal.read(seq, { messagesMax, bytesMax }, LANES[lane]);
    const { entries } = read;
    if (entries.length < messagesMax && read.throughSeq < durableSeq) this.peeksCut++;
    return entries.map(({ seq, wallMs, message: { topic, payload } }) => {
      const remoteTopic = isOwnTopic(topic) ? null : (route(topic)?.remoteTopic ?? null);
      return { seq, wallMs, topic, remoteTopic, payload };
    });
  }

  /**
   * Gives up what waits in a lane now, the oldest first, `messagesMax` at most: counted as dropped(operator), and told to the
   * cloud by one record. What is in flight is waited for, not given up: the cloud may have it. All of it becomes durable
   * together, or none.
   * @throws FieldgateError ERR_UPLINK_STANDBY where another gateway sends what is ours; of the store
   */
  drop(lane: LaneName, messagesMax = Number.POSITIVE_INFINITY): Promise<Given> {
    const given = this.#dropping.then(() => this.#drop(lane, messagesMax));
    this.#dropping = given.catch(() => undefined);
    return given;
  }

  async #drop(lane: LaneName, messagesMax: number): Promise<Given> {
    const { permit, journal } = this.#tools;
    const carrier = this.#tools.carrier();
    if (carrier === null || permit?.may() === false) throw standby();
    const throughSeq = journal.durableSeq;
    const index = LANES[lane] - LANES.alarm;
    const given = await carrier.withLane(index, () =>
      this.#count(lane, Math.min(messagesMax, Number.MAX_SAFE_INTEGER), throughSeq),
    );
    if (given === null) return { dropped: 0, firstSeq: null, lastSeq: null };
    const { first, last, dropped } = given;
    return { dropped: totalOf(dropped), firstSeq: first.seq, lastSeq: last.seq };
  }

  /** What is to be given up. Nothing has happened to it yet. */
  async #count(lane: LaneName, messagesMax: number, throughSeq: number): Promise<Loss | null> {
    const { journal } = this.#tools;
    const cursor = journal.cursor(cursorName(lane));
    let { seq } = cursor;
    let [count, records] = [0, 0];
    let [first, last]: [SourceEntry | null, SourceEntry | null] = [null, null];
    while (count < messagesMax && seq < throughSeq) {
      const left = {
        messagesMax: Math.min(READ_MAX, messagesMax - count),
        bytesMax: READ_BYTES_MAX,
      };
      const read = await journal.read(seq, left, LANES[lane]);
      const damaged = read.gap?.lostAfter(cursor.count + count) ?? 0;
      if (damaged > 0) cursor.move(cursor.seq, damaged, { damaged });
      for (const entry of read.entries) {
        if (entry.seq > throughSeq) break;
        first ??= entry;
        last = entry;
        count++;
        if (entry.message.topic === GAP_TOPIC) records++;
      }
      const readSeq = Math.max(read.throughSeq, read.entries.at(-1)?.seq ?? 0);
      if (readSeq <= seq) break;
      seq = readSeq;
    }
    if (first === null || last === null) return null;
    return { dropped: operator(count), records: operator(records), first, last };
  }

  async #keep(): Promise<void> {
    const value = Buffer.from(JSON.stringify([...this.#paused]));
    await this.#tools.journal.rows("uplink").put(PAUSED_KEY, value);
  }
}

const PAUSED_KEY = "paused";
const READ_MAX = 4096;
const READ_BYTES_MAX = 2 ** 20;

function operator(count: number): Dropped {
  return count === 0 ? {} : { operator: count };
}

function standby(): FieldgateError {
  const message = "another gateway of the site sends these messages: ask the primary";
  return new FieldgateError("ERR_UPLINK_STANDBY", message);
}
