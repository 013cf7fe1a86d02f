import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Queue } from "../../src/journal/journal.ts";
import type { StoreJournal } from "../../src/journal/store-journal.ts";
import { type JournalKind, levelKind, memoryKind } from "../support/journals.ts";
import { seededRandom } from "../support/random.ts";

/** SEED replays one run, ROUNDS makes more of them. */
const SEED = Number(process.env["SEED"] ?? Math.floor(Math.random() * 2 ** 31));
const ROUNDS = Number(process.env["ROUNDS"] ?? 12);
const STEPS = 120;
const ALL = { messagesMax: 100_000, bytesMax: 2 ** 30 };
const NAMES = ["a", "b", "c"];

describe("a journal against a model of it", () => {
  for (const [kindOf, rounds] of [
    [memoryKind, ROUNDS],
    [levelKind, Math.ceil(ROUNDS / 6)],
  ] as const) {
    const { name } = kindOf(0);
    it(`loses nothing that was durable, whatever happens to it (${name})`, async () => {
      for (let round = 0; round < rounds; round++) await check(kindOf, SEED + round);
    });
  }
});

async function check(kindOf: (seed: number) => JournalKind, seed: number): Promise<void> {
  const kind = kindOf(seed);
  const story = new Story(seededRandom(seed), kind);
  try {
    await story.begin();
    for (let step = 0; step < STEPS; step++) await story.step();
    await story.verify();
  } catch (error) {
    throw new Error(`SEED=${seed} ${kind.name}, after: ${story.told.slice(-12).join(" | ")}`, {
      cause: error,
    });
  } finally {
    await kind.end();
  }
}

interface Reference {
  readonly index: number;
  readonly seq: number;
}

/** The model: everything that was handed over, and how much of it must be there. */
class Story {
  readonly told: string[] = [];
  readonly #random: () => number;
  readonly #kind: JournalKind;
  #journal!: StoreJournal;
  #texts = new Map<number, string>();
  readonly #references = new Map<string, Reference[]>();
  /** What was acknowledged or moved in memory, which a crash may take back, and what it may not. */
  #heads = new Map<string, { now: number; durable: number }>();
  #cursor = { now: 0, durable: 0 };
  /** What was written to a row since it was durable, oldest first: a crash leaves the last durable value or one of these. */
  readonly #rows = new Map<string, { durable: string | null; since: (string | null)[] }>();
  #durableSeq = 0;
  #serial = 0;

  constructor(random: () => number, kind: JournalKind) {
    this.#random = random;
    this.#kind = kind;
  }

  async begin(): Promise<void> {
    this.#journal = await this.#kind.create({
      blockBytesMax: 1 + this.#below(2000),
      tailBytesMax: this.#below(8000),
      readCacheBytesMax: this.#below(4000),
      trimBytesMin: 0,
      tidyEveryMs: 60_000,
      cursorDelayMs: 60_000,
      durability: "local",
    });
    this.#journal.cursor("reader");
    for (const name of NAMES) {
      this.#journal.queue(name);
      this.#references.set(name, []);
      this.#heads.set(name, { now: 0, durable: 0 });
    }
    await this.#commit();
  }

  async step(): Promise<void> {
    const dice = this.#random();
    if (this.#random() < 0.3) await new Promise((resolve) => setImmediate(resolve));
    if (this.#random() < 0.05) void this.#journal.tidy();
    if (dice < 0.45) this.#append();
    else if (dice < 0.62) await this.#commit();
    else if (dice < 0.72) this.#acknowledge();
    else if (dice < 0.79) this.#move();
    else if (dice < 0.85) this.#row();
    else if (dice < 0.91) await this.#journal.tidy().then(() => this.#became("tidy"));
    else if (dice < 0.94) await this.#restart();
    else if (dice < 0.98) await this.#crash();
    else await this.verify();
  }

  #append(): void {
    const count = 1 + this.#below(8);
    this.told.push(`append ${count}`);
    for (let i = 0; i < count; i++) {
      const text = `${++this.#serial}`.padEnd(this.#below(120), ".");
      const names = NAMES.filter(() => this.#random() < 0.4);
      const queues = names.map((name) => this.#journal.queue(name));
      const message = {
        topic: `t/${this.#below(9)}`,
        payload: Buffer.from(text),
        qos: 1 as const,
        retain: false,
        properties: null,
      };
      const seq = this.#journal.append(message, this.#below(4), this.#serial, queues);
      assert.ok(!this.#texts.has(seq), `seq ${seq} was given out twice`);
      this.#texts.set(seq, text);
      for (const [at, name] of names.entries()) {
        this.#references.get(name)?.push({ index: queues[at]?.tailIndex ?? 0, seq });
      }
    }
  }

  async #commit(): Promise<void> {
    await this.#journal.committed();
    this.#became("commit");
  }

  /** Everything handed over is durable now. */
  #became(how: string): void {
    this.told.push(how);
    // A tidy commits only when it has to: what it says of itself counts.
    if (how === "tidy") return;
    if (this.#journal.lastSeq > 0) assert.equal(this.#journal.durableSeq, this.#journal.lastSeq);
    this.#durableSeq = this.#journal.durableSeq;
    this.#cursor.durable = this.#cursor.now;
    for (const head of this.#heads.values()) head.durable = head.now;
    for (const row of this.#rows.values()) {
      row.durable = nowIn(row);
      row.since = [];
    }
  }

  #acknowledge(): void {
    const name = this.#pick(NAMES);
    const queue = this.#journal.queue(name);
    const through = queue.headIndex + this.#below(queue.tailIndex - queue.headIndex + 1);
    this.told.push(`acknowledge ${name} ${through}`);
    queue.acknowledge(through);
    const head = this.#heads.get(name);
    if (head) head.now = Math.max(head.now, through);
    assert.equal(queue.headIndex, head?.now);
    assert.ok(queue.bytes >= 0, `${queue.bytes} bytes`);
    if (queue.headIndex === queue.tailIndex) assert.equal(queue.bytes, 0);
  }

  #move(): void {
    const seqs = [...this.#texts.keys()].filter(
      (seq) => seq > this.#cursor.now && seq <= this.#journal.durableSeq,
    );
    if (seqs.length === 0) return;
    this.#cursor.now = this.#pick(seqs);
    this.told.push(`move ${this.#cursor.now}`);
    this.#journal.cursor("reader").move(this.#cursor.now, 1);
  }

  #row(): void {
    const key = `k${this.#below(6)}`;
    const value = this.#random() < 0.3 ? null : `${++this.#serial}`;
    const rows = this.#journal.rows("space");
    const done = value === null ? rows.del(key) : rows.put(key, Buffer.from(value));
    done.catch(() => {});
    const row = this.#rows.get(key) ?? { durable: null, since: [] };
    row.since.push(value);
    this.#rows.set(key, row);
    this.told.push(`row ${key}`);
  }

  async #restart(): Promise<void> {
    this.#journal = await this.#kind.restart(this.#journal);
    this.#became("restart");
    await this.verify();
  }

  async #crash(): Promise<void> {
    this.told.push("crash");
    this.#durableSeq = this.#journal.durableSeq;
    this.#journal = await this.#kind.crash(this.#journal);
    await this.#adopt();
    await this.verify();
  }

  /** After a crash: what may have gone one way or the other went the way the journal says, within what is allowed. */
  async #adopt(): Promise<void> {
    const { entries } = await this.#journal.read(0, ALL);
    const there = new Set(entries.map((entry) => entry.seq));
    const cursor = this.#journal.cursor("reader").seq;
    this.#between("cursor", this.#cursor, cursor);
    this.#cursor = { now: cursor, durable: cursor };
    for (const name of NAMES) {
      const { headIndex } = this.#journal.queue(name);
      const head = this.#heads.get(name) ?? { now: 0, durable: 0 };
      this.#between(`queue ${name}`, head, headIndex);
      this.#heads.set(name, { now: headIndex, durable: headIndex });
    }
    for (const seq of [...this.#texts.keys()]) {
      if (seq > this.#durableSeq && !there.has(seq)) {
        this.#texts.delete(seq);
        for (const name of NAMES) {
          const left = this.#references.get(name)?.filter((one) => one.seq !== seq) ?? [];
          this.#references.set(name, left);
        }
      }
    }
    for (const [key, row] of this.#rows) {
      const value = await this.#journal.rows("space").get(key);
      const text = value ? Buffer.from(value).toString() : null;
      assert.ok([row.durable, ...row.since].includes(text), `row ${key} is ${text}`);
      this.#rows.set(key, { durable: text, since: [] });
    }
    this.#durableSeq = this.#journal.durableSeq;
  }

  #between(what: string, bounds: { durable: number; now: number }, value: number): void {
    assert.ok(value >= bounds.durable && value <= bounds.now, `${what} at ${value}`);
  }

  async verify(): Promise<void> {
    await this.#commit();
    const { entries, throughSeq } = await this.#journal.read(0, ALL);
    assert.equal(throughSeq, this.#journal.durableSeq);
    for (const entry of entries) {
      assert.equal(Buffer.from(entry.message.payload).toString(), this.#texts.get(entry.seq));
    }
    const first = entries[0]?.seq ?? Number.POSITIVE_INFINITY;
    const expected = [...this.#texts.keys()].filter((seq) => seq >= first);
    assert.deepEqual(
      entries.map((entry) => entry.seq),
      expected,
    );
    const needed = [...this.#texts.keys()].find((seq) => seq > this.#cursor.now);
    if (needed !== undefined) assert.ok(first <= needed, `${needed} was trimmed`);
    for (const name of NAMES) await this.#verifyQueue(this.#journal.queue(name));
    for (const [key, row] of this.#rows) {
      const value = await this.#journal.rows("space").get(key);
      assert.equal(value ? Buffer.from(value).toString() : null, nowIn(row));
    }
    const { missingEntries, damagedBlocks, damagedRows, missingReferences } =
      this.#journal.counters;
    assert.deepEqual([missingEntries, damagedBlocks, damagedRows, missingReferences], [0, 0, 0, 0]);
  }

  async #verifyQueue(queue: Queue): Promise<void> {
    const expected = (this.#references.get(queue.name) ?? []).filter(
      (one) => one.index > queue.headIndex,
    );
    const read: Reference[] = [];
    for (;;) {
      const limits = { messagesMax: 1 + this.#below(20), bytesMax: 1 + this.#below(3000) };
      const part = await queue.read(read.at(-1)?.index ?? queue.headIndex, limits);
      if (part.length === 0) break;
      read.push(...part.map(({ index, entry }) => ({ index, seq: entry.seq })));
    }
    assert.deepEqual(read, expected, `queue ${queue.name}`);
    assert.equal(queue.tailIndex, expected.at(-1)?.index ?? queue.headIndex);
  }

  #below(bound: number): number {
    return Math.floor(this.#random() * bound);
  }

  #pick<T>(from: readonly T[]): T {
    return from[this.#below(from.length)] as T;
  }
}

function nowIn({ durable, since }: { durable: string | null; since: (string | null)[] }) {
  const last = since.at(-1);
  return last === undefined ? durable : last;
}
