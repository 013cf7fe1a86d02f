import type { Message } from "../../src/mqtt/message.ts";
import type {
  Source,
  SourceCursor,
  SourceEntries,
  SourceEntry,
  SourceRows,
} from "../../src/uplink/source.ts";

/** What a test wants to happen on the way: reads that take a while, or fail. */
export interface SourceWeather {
  readonly beforeRead?: () => Promise<void>;
  readonly onMove?: (cursor: string, throughSeq: number) => void;
}

/** The part of a journal that the uplink reads, in memory. Everything is durable once `commit` was called. */
export class MemorySource implements Source {
  readonly id = "0123456789abcdef0123456789abcdef";
  readonly laneTotals: number[] = [0, 0, 0, 0];
  readonly cursors = new Map<string, MemoryCursor>();
  durableSeq = 0;
  readonly #lanes: SourceEntry[][] = [[], [], [], []];
  readonly #listeners = new Set<() => void>();
  readonly #weather: SourceWeather;
  readonly #rows = new Map<string, Uint8Array>();
  #lastSeq = 0;

  constructor(weather: SourceWeather = {}) {
    this.#weather = weather;
  }

  /** A message of the uplink's own: durable in the next turn, with the cursors of this one. */
  append(message: Message, lane: number, wallMs: number, queues: readonly never[]): number;
  append(
    lane: number,
    topic: string,
    payload: string | Uint8Array,
    more?: Partial<Message> & { readonly wallMs?: number },
  ): number;
  append(
    first: Message | number,
    second: number | string,
    third: number | string | Uint8Array,
    more: readonly never[] | (Partial<Message> & { readonly wallMs?: number }) = {},
  ): number {
    if (typeof first === "object") {
      queueMicrotask(() => this.commit());
      return this.#add(second as number, third as number, first);
    }
    const { wallMs = null, ...rest } = more as Partial<Message> & { readonly wallMs?: number };
    const payload = typeof third === "string" ? Buffer.from(third) : (third as Uint8Array);
    const topic = second as string;
    const message = { topic, payload, qos: 1, retain: false, properties: null, ...rest } as const;
    return this.#add(first, wallMs ?? 1_700_000_000_000 + this.#lastSeq + 1, message);
  }

  #add(lane: number, wallMs: number, message: Message): number {
    const seq = ++this.#lastSeq;
    this.#lanes[lane]?.push({ seq, wallMs, message });
    this.laneTotals[lane] = (this.laneTotals[lane] ?? 0) + 1;
    return seq;
  }

  rows(): SourceRows {
    return {
      get: async (key) => this.#rows.get(key),
      put: async (key, value) => {
        this.#rows.set(key, value);
      },
    };
  }

  /** Every seq of a lane that leaves. */
  get seqs(): number[] {
    return [1, 2, 3].flatMap((lane) => this.seqsOf(lane)).toSorted((a, b) => a - b);
  }

  entriesOf(lane: number): readonly SourceEntry[] {
    return this.#lanes[lane] ?? [];
  }

  seqsOf(lane: number): number[] {
    return (this.#lanes[lane] ?? []).map((entry) => entry.seq);
  }

  get lastSeq(): number {
    return this.#lastSeq;
  }

  /** As after a power cut: each cursor stands at one of its earlier places. */
  crash(random: () => number): void {
    for (const cursor of this.cursors.values()) cursor.fallBack(random);
  }

  commit(): void {
    this.durableSeq = this.#lastSeq;
    for (const cursor of this.cursors.values()) cursor.commit();
    for (const listener of this.#listeners) listener();
  }

  onCommit(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async read(
    afterSeq: number,
    limits: { readonly messagesMax: number; readonly bytesMax: number },
    lane: number,
  ): Promise<SourceEntries> {
    await this.#weather.beforeRead?.();
    const all = this.#lanes[lane] ?? [];
    const first = firstAfter(all, afterSeq);
    let end = first;
    let bytes = 0;
    for (; end < all.length && end - first < limits.messagesMax; end++) {
      const entry = all[end] as SourceEntry;
      bytes += entry.message.payload.length;
      if (entry.seq > this.durableSeq || (bytes > limits.bytesMax && end > first)) break;
    }
    const entries = all.slice(first, end);
    const more = (all[end]?.seq ?? Number.POSITIVE_INFINITY) <= this.durableSeq;
    return { entries, throughSeq: more ? (entries.at(-1)?.seq ?? afterSeq) : this.durableSeq };
  }

  cursor(name: string): MemoryCursor {
    const cursor = this.cursors.get(name) ?? new MemoryCursor(name, this.#weather);
    this.cursors.set(name, cursor);
    return cursor;
  }
}

/** How many of its last moves a cursor may lose in a crash. */
const PLACES_LOST_MAX = 5;

interface Standing {
  readonly seq: number;
  readonly count: number;
  readonly dropped: Readonly<Record<string, number>>;
}

class MemoryCursor implements SourceCursor {
  readonly name: string;
  isReading = false;
  isWanted = false;
  readonly #weather: SourceWeather;
  #at: Standing = { seq: 0, count: 0, dropped: {} };
  #places: Standing[] = [this.#at];

  constructor(name: string, weather: SourceWeather) {
    this.name = name;
    this.#weather = weather;
  }

  get seq(): number {
    return this.#at.seq;
  }
  get count(): number {
    return this.#at.count;
  }
  get dropped(): Standing["dropped"] {
    return this.#at.dropped;
  }

  /** What was moved is durable. */
  commit(): void {
    this.#places = [this.#at];
  }

  fallBack(random: () => number): void {
    const recent = this.#places.slice(-PLACES_LOST_MAX);
    this.#at = recent[Math.floor(random() * recent.length)] ?? this.#at;
    this.#places = [this.#at];
  }

  move(throughSeq: number, count: number, more: Readonly<Record<string, number>> = {}): void {
    if (throughSeq <= this.seq) throw new Error(`${this.name} moved back to ${throughSeq}`);
    this.#weather.onMove?.(this.name, throughSeq);
    let { dropped } = this.#at;
    for (const [reason, each] of Object.entries(more)) {
      dropped = { ...dropped, [reason]: (dropped[reason] ?? 0) + each };
    }
    this.#at = { seq: throughSeq, count: this.count + count, dropped };
    this.#places.push(this.#at);
    if (this.#places.length > PLACES_LOST_MAX) this.#places.shift();
  }
}

/** Index of the first entry with a greater seq. */
function firstAfter(entries: readonly SourceEntry[], afterSeq: number): number {
  let low = 0;
  let high = entries.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((entries[middle] as SourceEntry).seq <= afterSeq) low = middle + 1;
    else high = middle;
  }
  return low;
}
