import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { ClassicLevel } from "classic-level";
import { FieldgateError } from "../../src/base/errors.ts";
import { jsonLog, silentLog } from "../../src/base/log.ts";
import { systemClock } from "../../src/base/system-clock.ts";
import { blockKey, indexKey, KEY, kindKey, namedKey, spacePrefix } from "../../src/journal/keys.ts";
import { type LevelJournal, levelJournal } from "../../src/journal/level-journal.ts";
import { sealRow } from "../../src/journal/small-row.ts";
import { seededRandom } from "../support/random.ts";

const SEED = Number(process.env["SEED"] ?? Math.floor(Math.random() * 2 ** 31));
const NEVER = new AbortController().signal;
const ALL = { messagesMax: 10_000, bytesMax: 2 ** 30 };
const paths: string[] = [];
const open = new Set<LevelJournal>();

describe("a damaged store", () => {
  after(async () => {
    for (const journal of open) await journal.stop();
    // LevelDB makes the directory of a store that it could not open once more, some time later.
    process.on("exit", () => {
      for (const path of paths) rmSync(path, { recursive: true, force: true });
    });
  });

  it("never delivers a block in which any bit is wrong, and counts what is lost", async () => {
    const random = seededRandom(SEED);
    for (let round = 0; round < 40; round++) {
      const path = await filled();
      await raw(path, async (db) => {
        const value = await db.get(blockKey(4));
        assert.ok(value);
        const bit = Math.floor(random() * value.length * 8);
        value[bit >> 3] = (value[bit >> 3] ?? 0) ^ (1 << (bit & 7));
        await db.put(blockKey(4), value);
      });
      const journal = await started(path);
      check(journal, await journal.read(0, ALL), [1, 2, 3, 7, 8, 9, 10], `SEED=${SEED}`);
      assert.equal(journal.counters.damagedBlocks, 1);
      assert.equal(journal.counters.missingEntries, 3);
      await journal.read(0, ALL);
      assert.equal(journal.counters.missingEntries, 3, "counted twice");
      await stopped(journal);
    }
  });

  it("finds out by the sequence that a block vanished, wherever a reader begins", async () => {
    for (const afterSeq of [0, 3, 4, 5]) {
      const path = await filled();
      await raw(path, (db) => db.del(blockKey(4)));
      const journal = await started(path);
      const part = await journal.read(afterSeq, ALL);
      check(
        journal,
        part,
        [1, 2, 3, 7, 8, 9, 10].filter((seq) => seq > afterSeq),
      );
      assert.equal(journal.counters.missingEntries, 6 - Math.max(afterSeq, 3));
      await stopped(journal);
    }
  });

  it("passes over what a queue lost, so that nobody waits for it", async () => {
    const path = await filled();
    await raw(path, async (db) => {
      await db.del(blockKey(1));
      await db.del(blockKey(10));
    });
    const journal = await started(path);
    const queue = journal.queue("q");
    const found = await queue.read(0, ALL);
    assert.deepEqual(
      found.map((one) => one.index),
      [4, 5, 6, 7, 8, 9],
    );
    assert.equal(queue.headIndex, 3);
    assert.equal(journal.counters.missingReferences, 4);
    queue.acknowledge(9);
    assert.deepEqual(await queue.read(9, ALL), []);
    assert.equal(queue.headIndex, queue.tailIndex);
    await stopped(journal);
  });

  it("tells, once, of references that vanished though all blocks are there", async () => {
    const path = await filled();
    await raw(path, (db) => db.del(indexKey(1, 4)));
    const lines: string[] = [];
    const log = jsonLog({ clock: systemClock, level: "warn", write: (line) => lines.push(line) });
    const journal = await started(path, { log });
    const queue = journal.queue("q");
    for (let round = 0; round < 2; round++) {
      const found = await queue.read(0, ALL);
      assert.deepEqual(
        found.map((one) => one.index),
        [1, 2, 3, 7, 8, 9, 10],
      );
    }
    assert.equal(journal.counters.missingReferences, 3);
    assert.equal(lines.length, 1);
    const { message, name, references } = JSON.parse(lines[0] ?? "");
    assert.match(message, /references of a queue are missing/);
    assert.deepEqual([name, references], ["q", 3]);
    await stopped(journal);
  });

  it("goes on behind a damaged last block without using its seqs again", async () => {
    const path = await filled();
    await raw(path, (db) => db.put(blockKey(10), Buffer.from("not a block")));
    const journal = await started(path);
    const seq = journal.append(sample("new"), 0, 0, []);
    assert.ok(seq > 1_000_000, `${seq}`);
    await journal.committed();
    const { entries } = await journal.read(0, ALL);
    assert.deepEqual(
      entries.map((entry) => entry.seq),
      [1, 2, 3, 4, 5, 6, 7, 8, 9, seq],
    );
    await stopped(journal);
  });

  it("lets a reader whose cursor is damaged repeat, and hides damaged rows", async () => {
    const path = await filled();
    const cursorKey = namedKey(KEY.cursor, "c");
    const rowKey = Buffer.concat([spacePrefix("space"), Buffer.from("k")]);
    await raw(path, async (db) => {
      for (const key of [cursorKey, rowKey]) {
        const value = await db.get(key);
        assert.ok(value);
        value[0] = (value[0] ?? 0) ^ 1;
        await db.put(key, value);
      }
    });
    const journal = await started(path);
    assert.equal(journal.cursor("c").seq, 0);
    assert.equal(await journal.rows("space").get("k"), undefined);
    assert.equal(journal.counters.damagedRows, 2);
    await stopped(journal);
  });
});

describe("a store that cannot be opened", () => {
  for (const [what, damage] of [
    ["CURRENT is garbage", (path: string) => writeFileSync(join(path, "CURRENT"), "zz")],
    ["CURRENT is gone", (path: string) => rmSync(join(path, "CURRENT"))],
    ["MANIFEST is empty", (path: string) => writeFileSync(manifest(path), "")],
    ["MANIFEST is gone", (path: string) => rmSync(manifest(path))],
  ] as const) {
    it(`is repaired, which keeps everything, when ${what}`, async () => {
      const path = await filled();
      const old = await started(path);
      const { id } = old;
      await stopped(old);
      damage(join(path, "journal"));
      const journal = await started(path);
      assert.deepEqual([journal.id, journal.quarantine], [id, null]);
      check(journal, await journal.read(0, ALL), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
      assert.deepEqual([journal.cursor("c").seq, journal.queue("q").tailIndex], [2, 10]);
      assert.equal(`${await journal.rows("space").get("k")}`, "v");
      assert.ok(journal.append(sample("new"), 0, 0, []) > 2 ** 27);
      await journal.committed();
      await stopped(journal);
      assert.deepEqual(readdirSync(path).sort(), ["journal", "journal.end"]);
      const again = await started(path);
      assert.equal((await again.read(0, ALL)).entries.length, 11);
      assert.equal(again.counters.missingEntries, 0);
      await stopped(again);
    });
  }

  it("is repaired, which keeps everything, when MANIFEST has zeros that LevelDB passes over", async () => {
    const path = temporary();
    const old = await started(path, { bytesMax: 2 ** 20 });
    // LevelDB writes a table every 64 KiB: the last record of MANIFEST says so of the last one.
    for (let i = 0; i < 30; i++) {
      old.append(sample("x".repeat(10_000)), 0, 0, []);
      await old.committed();
    }
    await stopped(old);
    zeroLastRecord(manifest(join(path, "journal")));
    const journal = await started(path, { bytesMax: 2 ** 20 });
    assert.equal((await journal.read(0, ALL)).entries.length, 30);
    assert.deepEqual([journal.quarantine, journal.counters.missingEntries], [null, 0]);
    await stopped(journal);
  });

  it("is set aside whole, and a new journal begins, when a repair would lose something", async () => {
    const path = await filled();
    const old = await started(path);
    const { id } = old;
    await stopped(old);
    const directory = join(path, "journal");
    for (const name of readdirSync(directory)) {
      if (name.endsWith(".ldb")) rmSync(join(directory, name));
    }
    const files = readdirSync(directory);
    const journal = await started(path);
    assert.notEqual(journal.id, id);
    assert.equal(journal.lastSeq, 0);
    assert.ok(journal.quarantine);
    assert.deepEqual(
      readdirSync(journal.quarantine).filter((name) => !name.startsWith("LOG")),
      files.filter((name) => !name.startsWith("LOG")),
    );
    journal.append(sample("works"), 0, 0, []);
    await journal.committed();
    await stopped(journal);
    const again = await started(path);
    assert.equal(again.quarantine, null);
    assert.equal((await again.read(0, ALL)).entries.length, 1);
    await stopped(again);
  });

  it("is left alone however often somebody tries while another process has it", async () => {
    const path = await filled();
    const first = await started(path);
    for (let i = 0; i < 6; i++) {
      await assert.rejects(started(path), (error) =>
        isCode(error, "ERR_STORE_LOCKED", /stop that/),
      );
    }
    assert.deepEqual(readdirSync(path).sort(), ["journal", "journal.end", "journal.starts"]);
    assert.equal(readFileSync(join(path, "journal.starts"), "utf8"), "1");
    await stopped(first);
  });

  it("is read by another process first when several starts came to nothing, and is left as it is when it is sound", async () => {
    const path = await filled();
    writeFileSync(join(path, "journal.starts"), "5");
    const journal = await started(path);
    check(journal, await journal.read(0, ALL), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    assert.equal(journal.quarantine, null);
    await stopped(journal);
    assert.deepEqual(readdirSync(path).sort(), ["journal", "journal.end"]);
  });

  it("loses the mark of older programs that it was stopped in order", async () => {
    const path = await filled();
    await raw(path, (db) => db.put(Buffer.from("z"), Buffer.from("1")));
    const journal = await started(path);
    check(journal, await journal.read(0, ALL), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    await stopped(journal);
    await raw(path, async (db) => assert.equal(await db.get(Buffer.from("z")), undefined));
  });

  it("is set aside when it does not say whose journal it is", async () => {
    for (const change of [undefined, Buffer.from("damaged")]) {
      const path = await filled();
      await raw(path, (db) =>
        change ? db.put(kindKey(KEY.meta), change) : db.del(kindKey(KEY.meta)),
      );
      const journal = await started(path);
      assert.ok(journal.quarantine);
      await stopped(journal);
    }
  });

  it("is left alone when a newer version wrote it", async () => {
    const path = await filled();
    const key = kindKey(KEY.meta);
    const body = Buffer.concat([Buffer.from([0, 9]), Buffer.alloc(16)]);
    await raw(path, (db) => db.put(key, sealRow(key, body)));
    await assert.rejects(started(path), (error) => isCode(error, "ERR_STORE_FORMAT", /format 9/));
    assert.deepEqual(readdirSync(path).sort(), ["journal", "journal.end", "journal.starts"]);
  });

  it("is left alone when another process has it, and says what to do", async () => {
    const path = await filled();
    const first = await started(path);
    await assert.rejects(started(path), (error) => isCode(error, "ERR_STORE_LOCKED", /stop that/));
    first.append(sample("still works"), 0, 0, []);
    await first.committed();
    await stopped(first);
    assert.deepEqual(readdirSync(path).sort(), ["journal", "journal.end"]);
  });

  it("is an error of its own when the path is no directory", async () => {
    const path = temporary();
    writeFileSync(join(path, "journal"), "a file");
    await assert.rejects(started(path), (error) => isCode(error, "ERR_STORE_OPEN", /cannot be/));
    assert.equal(readFileSync(join(path, "journal"), "utf8"), "a file");
  });
});

/** A store of 10 entries in blocks of 1-3, 4-6, 7-9 and 10, a queue that has all, a cursor and a row. */
async function filled(): Promise<string> {
  const path = temporary();
  const journal = await started(path);
  const queue = journal.queue("q");
  for (let i = 1; i <= 10; i++) {
    journal.append(sample(`${i}`), 0, 0, [queue]);
    if (i % 3 === 0) await journal.committed();
  }
  journal.cursor("c").move(2, 2);
  await journal.rows("space").put("k", Buffer.from("v"));
  await stopped(journal);
  return path;
}

async function started(
  path: string,
  { bytesMax = 2 ** 30, log = silentLog } = {},
): Promise<LevelJournal> {
  const journal = levelJournal(
    { path, bytesMax, durability: "local", tidyEveryMs: 60_000 },
    { clock: systemClock, log, random: Math.random },
  );
  await journal.start(NEVER);
  open.add(journal);
  return journal;
}

async function stopped(journal: LevelJournal): Promise<void> {
  open.delete(journal);
  await journal.stop();
}

async function raw(
  path: string,
  use: (db: ClassicLevel<Buffer, Buffer>) => Promise<void>,
): Promise<void> {
  const encodings = { keyEncoding: "buffer", valueEncoding: "buffer" } as const;
  const db = new ClassicLevel<Buffer, Buffer>(join(path, "journal"), encodings);
  await db.open();
  await use(db);
  await db.close();
}

function manifest(path: string): string {
  return join(path, readdirSync(path).find((name) => name.startsWith("MANIFEST")) ?? "");
}

/** Whole records remain in front of it, so LevelDB itself sees no damage. */
function zeroLastRecord(path: string): void {
  const bytes = readFileSync(path);
  let last = 0;
  for (let at = 0; at < bytes.length; at += 7 + bytes.readUInt16LE(at + 4)) last = at;
  assert.ok(last > 0 && bytes.length < 32 * 1024);
  writeFileSync(path, bytes.fill(0, last));
}

function temporary(): string {
  const path = mkdtempSync(join(tmpdir(), "fieldgate-damage-"));
  paths.push(path);
  return path;
}

function sample(text: string) {
  const payload = Buffer.from(text);
  return { topic: "t", payload, qos: 1 as const, retain: false, properties: null };
}

function isCode(error: unknown, code: string, text: RegExp): boolean {
  return error instanceof FieldgateError && error.code === code && text.test(error.message);
}

/** The seqs are these, each with its own text, and the reader is at the end. */
function check(
  journal: LevelJournal,
  part: Awaited<ReturnType<LevelJournal["read"]>>,
  seqs: readonly number[],
  hint = "",
): void {
  const read = part.entries.map((entry) => [
    entry.seq,
    Buffer.from(entry.message.payload).toString(),
  ]);
  assert.deepEqual(
    read,
    seqs.map((seq) => [seq, `${seq}`]),
    hint,
  );
  assert.equal(part.throughSeq, journal.durableSeq);
}
