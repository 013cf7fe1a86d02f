import type { Clock } from "../base/clock.ts";
import { errorFields } from "../base/errors.ts";
import { Fifo } from "../base/fifo.ts";
import type { Log } from "../base/log.ts";
import type { ReplicationCounters } from "./counters.ts";
import { batchFrame, joinBlocks } from "./frames.ts";
import { BATCH_BYTES, PACK_BYTES_MIN, type PeerLimits, READ_BYTES } from "./limits.ts";
import type { Channel, Codec, CopiedJournal, StoredBlock } from "./ports.ts";

export interface ShipmentTools {
  readonly clock: Clock;
  readonly log: Log;
  readonly limits: PeerLimits;
  readonly journal: CopiedJournal;
  readonly codec: Codec;
  readonly counters: ReplicationCounters;
}

export interface ShipmentWorld {
  /** The peer has our journal up to there. */
  readonly moved: (seq: number) => void;
  /** The connection cannot be used any more. */
  readonly failed: (error: unknown) => void;
}

/**
 * Our journal on its way to one peer over one connection, without anything that outlives it:
 *
 *   journal ──read──▶ ahead ──packed, sent──▶ in flight ──acknowledged──▶ moved: the peer's cursor
 *
 * A peer takes blocks in order and acknowledges all up to a seq, so what is in flight is a queue. The next connection begins
 * where the peer then says that it is.
 */
export class Shipment {
  readonly #tools: ShipmentTools;
  readonly #channel: Channel;
  readonly #world: ShipmentWorld;
  readonly #ahead = new Fifo<StoredBlock>();
  readonly #inflight = new Fifo<StoredBlock>();
  readonly #life = new AbortController();
  #aheadBytes = 0;
  #inflightBytes = 0;
  /** Everything up to here was read. */
  #readSeq: number;
  #isReading = false;
  #packing: Promise<void> = Promise.resolve();
  #woken = false;

  /** @param haveSeq the peer has our journal up to there */
  constructor(tools: ShipmentTools, channel: Channel, haveSeq: number, world: ShipmentWorld) {
    this.#tools = tools;
    this.#channel = channel;
    this.#world = world;
    this.#readSeq = haveSeq;
  }

  /** There may be something to do: looked at once for all that this turn of the event loop brings. */
  wake(): void {
    if (this.#woken || this.#life.signal.aborted) return;
    this.#woken = true;
    this.#tools.clock.afterTurn(() => {
      this.#woken = false;
      if (!this.#life.signal.aborted) this.#work();
    });
  }

  /** The peer has everything up to `seq` on its disk. */
  acked(seq: number): void {
    for (let next = this.#inflight.peek(); next && next.seq <= seq; next = this.#inflight.peek()) {
      this.#inflight.shift();
      this.#inflightBytes -= next.value.length;
    }
    this.#world.moved(seq);
    this.wake();
  }

  end(): void {
    this.#life.abort();
  }

  #work(): void {
    const { windowBytesMax } = this.#tools.limits;
    while (this.#inflightBytes < windowBytesMax && this.#ahead.peek() !== undefined) {
      this.#send(this.#gather());
    }
    this.#readAhead();
  }

  #gather(): readonly StoredBlock[] {
    const blocks: StoredBlock[] = [];
    let bytes = 0;
    for (let next = this.#ahead.peek(); next !== undefined; next = this.#ahead.peek()) {
      if (bytes > 0 && bytes + next.value.length > BATCH_BYTES) break;
      this.#ahead.shift();
      this.#inflight.push(next);
      bytes += next.value.length;
      blocks.push(next);
    }
    this.#aheadBytes -= bytes;
    this.#inflightBytes += bytes;
    return blocks;
  }

  /** What is packed in a thread leaves in the order in which it was gathered. */
  #send(blocks: readonly StoredBlock[]): void {
    const { codec, counters } = this.#tools;
    const raw = joinBlocks(blocks);
    const isPacked = raw.length >= PACK_BYTES_MIN;
    const body = isPacked ? codec.pack(raw) : Promise.resolve(raw);
    counters.batchesSent++;
    counters.bytesRaw += raw.length;
    this.#packing = Promise.all([body, this.#packing]).then(
      ([bytes]) => {
        if (this.#life.signal.aborted) return;
        counters.bytesSent += bytes.length;
        this.#channel.send(batchFrame(isPacked, raw.length, bytes));
      },
      (error) => this.#world.failed(error),
    );
  }

  #readAhead(): void {
    const { journal } = this.#tools;
    if (this.#isReading || this.#aheadBytes >= READ_BYTES) return;
    if (this.#readSeq >= journal.durableSeq) return;
    this.#isReading = true;
    journal.copies.read(this.#readSeq, READ_BYTES).then(
      ({ entries, throughSeq }) => {
        this.#isReading = false;
        this.#readSeq = Math.max(this.#readSeq, throughSeq);
        for (const block of entries) {
          this.#ahead.push(block);
          this.#aheadBytes += block.value.length;
        }
        this.wake();
      },
      (error) => this.#readFailed(error),
    );
  }

  #readFailed(error: unknown): void {
    const { clock, log } = this.#tools;
    log.error("reading the journal for a peer failed", errorFields(error));
    clock.sleep(READ_RETRY_MS, this.#life.signal).then(
      () => {
        this.#isReading = false;
        this.wake();
      },
      () => undefined,
    );
  }
}

const READ_RETRY_MS = 1000;
