import { FieldgateError } from "../base/errors.ts";
import { ownCopy } from "../base/own-copy.ts";
import type { Random } from "../base/random.ts";
import {
  type Change,
  noDamage,
  type Store,
  type StoreNotes,
  type StoreRange,
  type StoreRow,
  type StoreSize,
} from "./store.ts";

/**
 * A store that forgets, for tests and simulations. What was written and not synced is lost in a crash, from some point on:
 * how much of it, `random` decides.
 */
export class MemoryStore implements Store {
  readonly #afterTurn: (task: () => void) => void;
  readonly #random: Random;
  readonly #values = new Map<string, Buffer>();
  /** All keys as latin1 text, sorted. */
  readonly #keys: string[] = [];
  /** How to undo what is not synced, the oldest batch first. */
  #unsynced: { key: string; before: Buffer | undefined }[][] = [];
  #bytes = 0;
  #life = 0;
  #isOpen = false;
  readonly damage = noDamage();
  readonly #noted = new Map<string, Buffer>();
  readonly notes: StoreNotes = {
    get: async (name) => this.#noted.get(name) ?? null,
    put: async (name, bytes) => void this.#noted.set(name, bytes),
    drop: async (name) => void this.#noted.delete(name),
  };
  /** Throw from here to make the next operations fail. */
  onWrite: (changes: readonly Change[]) => void = () => {};

  constructor(afterTurn: (task: () => void) => void, random: Random) {
    this.#afterTurn = afterTurn;
    this.#random = random;
  }

  async open(): Promise<void> {
    this.#isOpen = true;
  }

  async close(): Promise<void> {
    this.#isOpen = false;
  }

  async setAside(): Promise<string> {
    this.#values.clear();
    this.#keys.length = 0;
    this.#unsynced = [];
    this.#bytes = 0;
    return "memory";
  }

  /** Nobody copies it. */
  async farSeq(): Promise<null> {
    return null;
  }

  async isReadable(): Promise<boolean> {
    return true;
  }

  async mend(): Promise<boolean> {
    return false;
  }

  /** What the power cut leaves. Writes on their way end nowhere. */
  crash(): void {
    this.#life++;
    this.#isOpen = false;
    const kept = Math.floor(this.#random() * (this.#unsynced.length + 1));
    for (const batch of this.#unsynced.slice(kept).toReversed()) {
      for (const { key, before } of batch.toReversed()) this.#set(key, before ?? null);
    }
    this.#unsynced = [];
  }

  async get(key: Buffer): Promise<Buffer | undefined> {
    this.#assertOpen();
    return this.#values.get(key.toString("latin1"));
  }

  async page(range: StoreRange): Promise<StoreRow[]> {
    this.#assertOpen();
    const from = this.#indexOf(range.gte.toString("latin1"));
    const to = this.#indexOf(range.lt.toString("latin1"));
    const rows: StoreRow[] = [];
    let bytes = 0;
    for (let i = 0; i < to - from && rows.length < range.rowsMax; i++) {
      const key = this.#keys[range.reverse ? to - 1 - i : from + i] ?? "";
      const value = this.#values.get(key) ?? Buffer.alloc(0);
      rows.push([Buffer.from(key, "latin1"), value]);
      bytes += key.length + value.length;
      if (bytes > range.bytesMax) break;
    }
    return rows;
  }

  async write(changes: readonly Change[], sync: boolean): Promise<void> {
    this.#assertOpen();
    const life = this.#life;
    this.onWrite(changes);
    // On its way: a crash now may find it on the disk or not.
    const undo = () => this.#apply(changes);
    const isEarly = this.#random() < 0.5;
    if (isEarly) this.#unsynced.push(undo());
    await new Promise<void>((resolve) => this.#afterTurn(resolve));
    if (life !== this.#life) throw new Error("the power was cut");
    if (!isEarly) this.#unsynced.push(undo());
    if (sync) this.#unsynced = [];
  }

  async clear(gte: Buffer, lt: Buffer): Promise<void> {
    const rows = await this.page({ gte, lt, rowsMax: 2 ** 30, bytesMax: 2 ** 40 });
    this.#unsynced.push(this.#apply(rows.map(([key]) => ({ key, value: null }))));
  }

  async compact(): Promise<void> {
    this.#assertOpen();
  }

  async measure(): Promise<StoreSize> {
    return { bytes: this.#bytes, freeBytes: Number.POSITIVE_INFINITY };
  }

  readonly reserve = {
    at: "ready",
    bytes: 0,
    make: async () => true,
    release: async () => false,
  } as const;

  #apply(changes: readonly Change[]): { key: string; before: Buffer | undefined }[] {
    return changes.map(({ key, value }) => {
      const text = key.toString("latin1");
      const before = this.#values.get(text);
      this.#set(text, value === null ? null : ownCopy(value));
      return { key: text, before };
    });
  }

  #set(key: string, value: Buffer | null): void {
    const before = this.#values.get(key);
    const at = this.#indexOf(key);
    this.#bytes += (value?.length ?? 0) - (before?.length ?? 0);
    if (value === null) {
      if (before) this.#keys.splice(at, 1);
      this.#values.delete(key);
      return;
    }
    if (!before) this.#keys.splice(at, 0, key);
    this.#values.set(key, value);
  }

  #indexOf(key: string): number {
    let low = 0;
    let high = this.#keys.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#keys[middle] ?? "") < key) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #assertOpen(): void {
    if (this.#isOpen) return;
    throw new FieldgateError("ERR_STORE_CLOSED", "the store is closed, or being opened again");
  }
}
