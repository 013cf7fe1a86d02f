import type { Clock } from "../base/clock.ts";
import { assert } from "../base/errors.ts";
import type { Rows } from "../base/rows.ts";
import type { SiteRecord, Space } from "./site-log.ts";
import { SPACES } from "./site-log.ts";

/** A reference of a session's queue: its index there, and the entry of its gateway's journal. */
export interface Reference {
  readonly index: number;
  readonly seq: number;
}

/** Where a client's session is, as far as a gateway says: the one with most moves has it. */
export interface Home {
  readonly moves: number;
  /** The session was there, and has ended. */
  readonly gone: boolean;
}

/** How keys of wills begin, in the rows of aedes-persistence-level. */
export const WILLS = "will:";
const SWEEP_EVERY_MS = 10_000;
const DIGITS = 14;

/**
 * The sessions of another gateway, as its journal tells of them (site-log.ts), in rows of our copy of that journal:
 *
 *   copied/<space>  as there
 *   copied/queue    client NUL last index → JSON [first index, [seq, …]]
 *   copied/head     client → index
 */
export class CopiedSessions {
  readonly #rowsOf: (space: string) => Rows;
  readonly #clock: Clock;
  /** Clients with a session there. */
  readonly #clients = new Set<string>();
  readonly #homes = new Map<string, Home>();
  /** Keys of rows with wills. */
  readonly #wills = new Set<string>();
  readonly #passed = new Map<string, number>();
  #sweptMs = 0;
  /** Keys that were told since all is told again; null when that is not so. */
  #told: Set<string> | null = null;

  constructor(rowsOf: (space: string) => Rows, clock: Clock) {
    this.#rowsOf = rowsOf;
    this.#clock = clock;
  }

  async load(): Promise<void> {
    for await (const [client] of this.rows("session").entries({})) this.#clients.add(client);
    for await (const [client, value] of this.rows("home").entries({})) {
      this.#homes.set(client, homeIn(value));
    }
    const wills = { gte: WILLS, lt: justBehind(WILLS) };
    for await (const [key] of this.rows("aedes").entries(wills)) this.#wills.add(key);
  }

  rows(space: Space | "queue" | "head"): Rows {
    return this.#rowsOf(`copied/${space}`);
  }

  /** How many sessions are there. */
  get size(): number {
    return this.#clients.size;
  }

  has(client: string): boolean {
    return this.#clients.has(client);
  }

  /** Whether the gateway keeps a will for the client. */
  hasWill(client: string): boolean {
    const prefix = `${WILLS}${encodeURIComponent(`${client}\0`)}`;
    for (const key of this.#wills) if (key.startsWith(prefix)) return true;
    return false;
  }

  /** What the gateway says of where the session is; null when it knows nothing of it. */
  home(client: string): Home | null {
    const home = this.#homes.get(client);
    if (home !== undefined) return home;
    return this.#clients.has(client) ? { moves: 0, gone: false } : null;
  }

  /** In order. What is changed is durable with the next commit of the copy. */
  async apply(record: SiteRecord): Promise<void> {
    const [what] = record;
    if (what === "moved") return;
    if (what === "all") this.#told = new Set();
    else if (what === "whole") await this.#forgetUntold();
    else if (what === "waits") this.#wait(record[1], record[2], record[3]);
    else if (what === "head") this.#head(record[1], record[2]);
    else if (what === "clear") await this.rows(record[1]).clear({ gte: record[2], lt: record[3] });
    else await this.#row(record);
    await this.#sweep();
  }

  /** What waits for the client, in order. */
  async queue(client: string): Promise<{ headIndex: number; references: readonly Reference[] }> {
    const head = await this.rows("head").get(client);
    const headIndex = head === undefined ? 0 : Number(text(head));
    // What was told twice may be in two rows.
    const found = new Map<number, number>();
    for await (const [, value] of this.rows("queue").entries(of(client))) {
      const [first, seqs] = JSON.parse(text(value)) as [number, number[]];
      seqs.forEach((seq, place) => {
        if (first + place > headIndex) found.set(first + place, seq);
      });
    }
    const references = [...found].map(([index, seq]) => ({ index, seq }));
    return { headIndex, references: references.sort((a, b) => a.index - b.index) };
  }

  async numbers(space: "received" | "released", client: string): Promise<number[]> {
    const numbers: number[] = [];
    for await (const [key] of this.rows(space).entries(of(client))) {
      numbers.push(Number(key.slice(client.length + 1)));
    }
    return numbers;
  }

  /** Up to where that gateway had brought the messages of each other journal to its sessions. */
  async feeds(): Promise<ReadonlyMap<string, number>> {
    const feeds = new Map<string, number>();
    for await (const [journal, value] of this.rows("feed").entries({})) {
      feeds.set(journal, Number(text(value)));
    }
    return feeds;
  }

  /** What was not told again is not there any more. */
  async #forgetUntold(): Promise<void> {
    const told = this.#told;
    this.#told = null;
    if (told === null) return;
    for (const space of [...SPACES, "queue", "head"] as const) {
      for await (const [key] of this.rows(space).entries({})) {
        if (!told.has(`${space}\0${key}`)) void kept(this.rows(space).del(key));
      }
    }
    for (const client of this.#clients) {
      if (!told.has(`session\0${client}`)) this.#clients.delete(client);
    }
    for (const key of this.#wills) if (!told.has(`aedes\0${key}`)) this.#wills.delete(key);
    for (const client of this.#homes.keys()) {
      if (!told.has(`home\0${client}`)) this.#homes.delete(client);
    }
  }

  #put(space: Space | "queue" | "head", key: string, value: Uint8Array): void {
    this.#told?.add(`${space}\0${key}`);
    void kept(this.rows(space).put(key, value));
  }

  #wait(client: string, first: number, seqs: readonly number[]): void {
    const last = first + seqs.length - 1;
    this.#put("queue", queueKey(client, last), bytes(JSON.stringify([first, seqs])));
  }

  #head(client: string, index: number): void {
    this.#put("head", client, bytes(String(index)));
    this.#passed.set(client, index);
  }

  async #row(record: SiteRecord): Promise<void> {
    assert(record[0] === "put" || record[0] === "del", "a row is put or deleted");
    const [what, space, key] = record;
    if (space === "session" && what === "del") {
      this.#clients.delete(key);
      this.#passed.delete(key);
      void kept(this.rows("head").del(key));
      await this.rows("queue").clear(of(key));
    }
    if (space === "home" && what === "del") this.#homes.delete(key);
    if (what === "del") {
      if (space === "aedes") this.#wills.delete(key);
      void kept(this.rows(space).del(key));
      return;
    }
    const value = Buffer.from(record[3], "base64");
    if (space === "session") this.#clients.add(key);
    if (space === "home") this.#homes.set(key, homeIn(value));
    if (space === "aedes" && key.startsWith(WILLS)) this.#wills.add(key);
    this.#put(space, key, value);
  }

  /** What was acknowledged takes room until then, and nothing else. */
  async #sweep(): Promise<void> {
    const nowMs = this.#clock.monotonicMs();
    if (nowMs - this.#sweptMs < SWEEP_EVERY_MS) return;
    this.#sweptMs = nowMs;
    const passed = [...this.#passed];
    this.#passed.clear();
    for (const [client, index] of passed) {
      await this.rows("queue").clear({ gte: `${client}\0`, lte: queueKey(client, index) });
    }
  }
}

export function homeIn(value: Uint8Array): Home {
  const { moves, gone } = JSON.parse(text(value)) as Partial<Home>;
  return { moves: Number.isSafeInteger(moves) ? (moves as number) : 0, gone: gone === true };
}

export function homeRow(home: Home): Uint8Array {
  return bytes(JSON.stringify(home));
}

/** A row that cannot be written is missing after the next start at worst: whoever reads waits for a commit, which fails then. */
function kept(written: Promise<void>): Promise<void> {
  return written.catch(() => undefined);
}

function queueKey(client: string, index: number): string {
  return `${client}\0${String(index).padStart(DIGITS, "0")}`;
}

function of(client: string): { gte: string; lt: string } {
  return { gte: `${client}\0`, lt: `${client}\x01` };
}

function justBehind(prefix: string): string {
  return `${prefix.slice(0, -1)}${String.fromCharCode(prefix.charCodeAt(prefix.length - 1) + 1)}`;
}

function text(value: Uint8Array): string {
  return Buffer.from(value).toString();
}

function bytes(value: string): Buffer {
  return Buffer.from(value);
}
