import assert from "node:assert/strict";
import { after, describe, it } from "node:test";
import { FieldgateError } from "../../src/base/errors.ts";
import type { Entry, Journal } from "../../src/journal/journal.ts";
import type { Message } from "../../src/mqtt/message.ts";
import type { JournalKind } from "../support/journals.ts";

const ALL = { messagesMax: 10_000, bytesMax: 2 ** 30 };
const NOW = 1_700_000_000_000;

/** What every implementation of the journal port promises. */
export function journalContract(kind: JournalKind): void {
  describe(`${kind.name}: a journal`, () => {
    after(() => kind.end());
    entries(kind);
    commits(kind);
    cursors(kind);
    queues(kind);
    rows(kind);
    trimming(kind);
    endings(kind);
  });
}

function entries(kind: JournalKind): void {
  it("gives back each message as it was taken, with seq, lane and time", async () => {
    const journal = await kind.create();
    const messages: Message[] = [
      message("a/b", "plain"),
      { ...message("a/b", ""), qos: 2, retain: true },
      { ...message("Größe/温度/🌡", "x".repeat(70_000)), qos: 0 },
      { ...message("t".repeat(300), "long topic"), properties: Buffer.from([1, 2, 3]) },
      { ...message("empty properties", "p"), properties: Buffer.alloc(0) },
    ];
    const times = [NOW, NOW + 1, NOW - 5_000_000_000, NOW + 9_000_000_000, NOW];
    messages.forEach((one, i) => {
      assert.equal(journal.append(one, i, times[i] ?? 0, []), i + 1);
    });
    await journal.committed();
    const expected = messages.map((one, i) => ({
      seq: i + 1,
      lane: i,
      wallMs: times[i],
      message: plain(one),
    }));
    assert.deepEqual(await readPlain(journal), expected);
    assert.deepEqual(await readPlain(await kind.restart(journal)), expected);
  });

  it("copies the message before append returns", async () => {
    const journal = await kind.create();
    const payload = Buffer.from("before");
    journal.append({ ...message("t", ""), payload }, 0, NOW, []);
    payload.fill("!");
    await journal.committed();
    assert.deepEqual(await texts(journal), ["before"]);
  });

  it("reads one lane, and tells how far it looked", async () => {
    const journal = await kind.create({ blockBytesMax: 200 });
    for (let i = 1; i <= 30; i++) {
      journal.append(message("t", `${i}`), i % 3, NOW, []);
      if (i % 7 === 0) await journal.committed();
    }
    await journal.committed();
    const lane = await journal.read(0, ALL, 1);
    assert.deepEqual(lane.entries.map(text), [
      "1",
      "4",
      "7",
      "10",
      "13",
      "16",
      "19",
      "22",
      "25",
      "28",
    ]);
    assert.equal(lane.throughSeq, 30);
    assert.deepEqual((await journal.read(0, ALL, 9)).entries, []);
    assert.equal((await journal.read(0, ALL, 9)).throughSeq, 30);
    assert.deepEqual(journal.laneTotals.slice(0, 4), [10, 10, 10, 0]);
  });

  it("keeps to the limits, returns one entry at least, and goes on where it stopped", async () => {
    const journal = await kind.create({ blockBytesMax: 500 });
    for (let i = 0; i < 100; i++) journal.append(message("t", `${i}`.padStart(50)), 0, NOW, []);
    await journal.committed();
    for (const limits of [
      { messagesMax: 7, bytesMax: 1000 },
      { messagesMax: 100, bytesMax: 1 },
      { messagesMax: 100, bytesMax: 200 },
    ]) {
      const seen: number[] = [];
      let afterSeq = 0;
      while (afterSeq < journal.durableSeq) {
        const part = await journal.read(afterSeq, limits);
        assert.ok(part.entries.length <= limits.messagesMax && part.entries.length > 0);
        seen.push(...part.entries.map((entry) => entry.seq));
        afterSeq = part.throughSeq;
      }
      assert.deepEqual(
        seen,
        Array.from({ length: 100 }, (_, i) => i + 1),
      );
    }
  });

  it("reads from disk what memory does not hold any more", async () => {
    const journal = await kind.create({
      blockBytesMax: 1000,
      tailBytesMax: 3000,
      readCacheBytesMax: 0,
    });
    for (let i = 1; i <= 500; i++) journal.append(message("t", `${i}`), 1, NOW, []);
    await journal.committed();
    assert.equal((await journal.read(0, ALL)).entries.length, 500);
    const middle = await journal.read(123, { messagesMax: 3, bytesMax: 1000 }, 1);
    assert.deepEqual(middle.entries.map(text), ["124", "125", "126"]);
  });
}

function commits(kind: JournalKind): void {
  it("never splits what one turn hands over, and tells listeners in order", async () => {
    const journal = await kind.create();
    const seen: string[] = [];
    journal.onCommit((seq) => seen.push(`first ${seq}`));
    const off = journal.onCommit((seq) => seen.push(`second ${seq}`));
    for (let i = 0; i < 3; i++) journal.append(message("t", "x"), 0, NOW, []);
    assert.equal(journal.durableSeq, 0);
    assert.ok(journal.pendingBytes > 0);
    const stored = journal.rows("space").put("k", Buffer.from("v"));
    await Promise.all([journal.committed(), stored]);
    assert.equal(journal.pendingBytes, 0);
    off();
    journal.append(message("t", "y"), 0, NOW, []);
    await journal.committed();
    assert.deepEqual(seen, ["first 3", "second 3", "first 4"]);
  });

  it("resolves committed at once when there is nothing to wait for", async () => {
    const journal = await kind.create();
    await journal.committed();
    assert.equal(journal.durableSeq, 0);
  });

  it("has after a crash all of a turn or nothing of it", async () => {
    for (let round = 0; round < 5; round++) {
      let journal = await kind.create();
      const queue = journal.queue("s");
      await journal.committed();
      const seq = journal.append(message("t", "x"), 3, NOW, [queue]);
      void journal
        .rows("space")
        .put("k", Buffer.from("v"))
        .catch(() => {});
      for (let i = 0; i < round; i++) await new Promise((resolve) => setImmediate(resolve));
      journal = await kind.crash(journal);
      const { entries } = await journal.read(0, ALL);
      const there = entries.length === 1;
      assert.equal(journal.laneTotals[3], there ? 1 : 0);
      assert.equal((await journal.rows("space").get("k")) !== undefined, there);
      const waiting = await journal.queue("s").read(0, ALL);
      assert.deepEqual(
        waiting.map((one) => one.entry.seq),
        there ? [seq] : [],
      );
    }
  });

  it("never gives a seq out twice, crash or not, and keeps its id", async () => {
    let journal = await kind.create();
    const { id } = journal;
    assert.match(id, /^[0-9a-f]{32}$/);
    let last = 0;
    for (let round = 0; round < 4; round++) {
      journal.append(message("t", "kept"), 0, NOW, []);
      await journal.committed();
      last = journal.append(message("t", "maybe lost"), 0, NOW, []);
      journal = round % 2 === 0 ? await kind.crash(journal) : await kind.restart(journal);
      assert.equal(journal.id, id);
      const next = journal.append(message("t", "next"), 0, NOW, []);
      assert.ok(next > last, `${next} after ${last}`);
      await journal.committed();
    }
    assert.equal((await texts(journal)).filter((one) => one === "kept").length, 4);
  });

  it("continues without a gap after a clean stop", async () => {
    let journal = await kind.create();
    journal.append(message("t", "1"), 2, NOW, []);
    journal = await kind.restart(journal);
    assert.equal(journal.append(message("t", "2"), 2, NOW, []), 2);
    await journal.committed();
    assert.deepEqual(await texts(journal), ["1", "2"]);
    assert.equal(journal.laneTotals[2], 2);
  });
}

function cursors(kind: JournalKind): void {
  it("keeps a cursor's place and count, moves it forward only, and forgets it", async () => {
    let journal = await kind.create();
    const cursor = journal.cursor("uplink/telemetry");
    assert.deepEqual([cursor.seq, cursor.count], [0, 0]);
    for (let i = 0; i < 5; i++) journal.append(message("t", "x"), 1, NOW, []);
    cursor.move(3, 2);
    cursor.move(2, 1);
    journal.cursor("other").move(1, 1);
    assert.equal(journal.cursor("uplink/telemetry"), cursor);
    journal = await kind.restart(journal);
    assert.deepEqual([...journal.cursorNames()].sort(), ["other", "uplink/telemetry"]);
    assert.equal(journal.cursor("uplink/telemetry").seq, 3);
    assert.equal(journal.cursor("uplink/telemetry").count, 3);
    journal.forgetCursor("other");
    journal = await kind.restart(journal);
    assert.deepEqual(journal.cursorNames(), ["uplink/telemetry"]);
  });

  it("writes a moved cursor within cursorDelayMs though nothing else happens", async () => {
    let journal = await kind.create({ cursorDelayMs: 5 });
    journal.append(message("t", "x"), 1, NOW, []);
    await journal.committed();
    const written = new Promise<void>((resolve) => {
      journal.onCommit(() => resolve());
    });
    journal.cursor("c").move(1, 1);
    await written;
    journal = await kind.crash(journal);
    assert.equal(journal.cursor("c").seq, 1);
  });
}

function queues(kind: JournalKind): void {
  it("hands each queue its references in order, numbered from 1", async () => {
    const journal = await kind.create({ blockBytesMax: 300 });
    const odd = journal.queue("odd");
    const all = journal.queue("all");
    for (let i = 1; i <= 40; i++) {
      journal.append(message("t", `${i}`), 0, NOW, i % 2 === 1 ? [odd, all] : [all]);
      if (i % 9 === 0) await journal.committed();
    }
    await journal.committed();
    const seen = await odd.read(0, ALL);
    assert.deepEqual(
      seen.map((one) => one.index),
      Array.from({ length: 20 }, (_, i) => i + 1),
    );
    assert.deepEqual(
      seen.map((one) => text(one.entry)),
      Array.from({ length: 20 }, (_, i) => `${2 * i + 1}`),
    );
    const part = await all.read(17, { messagesMax: 4, bytesMax: 1000 });
    assert.deepEqual(
      part.map((one) => text(one.entry)),
      ["18", "19", "20", "21"],
    );
    assert.equal((await all.read(3, { messagesMax: 9, bytesMax: 1 })).length, 1);
    assert.deepEqual(await all.read(40, ALL), []);
    assert.deepEqual([all.headIndex, all.tailIndex], [0, 40]);
  });

  it("does not hand out what is not durable", async () => {
    const journal = await kind.create();
    const queue = journal.queue("q");
    journal.append(message("t", "x"), 0, NOW, [queue]);
    assert.equal(queue.tailIndex, 1);
    assert.deepEqual(await queue.read(0, ALL), []);
    await journal.committed();
    assert.equal((await queue.read(0, ALL)).length, 1);
  });

  it("knows how many bytes wait", async () => {
    const journal = await kind.create();
    const queue = journal.queue("q");
    for (let i = 0; i < 10; i++) journal.append(message("tt", "x".repeat(8)), 0, NOW, [queue]);
    assert.equal(queue.bytes, 100);
    await journal.committed();
    queue.acknowledge(4);
    assert.equal(queue.bytes, 60);
    queue.acknowledge(10);
    assert.equal(queue.bytes, 0);
  });

  for (const where of ["memory", "disk"] as const) {
    it(`continues a queue after a restart, rows in ${where}`, async () => {
      let journal = await kind.create({
        blockBytesMax: 100,
        tailBytesMax: where === "disk" ? 0 : 2 ** 20,
      });
      const queue = journal.queue("q");
      for (let i = 1; i <= 30; i++) journal.append(message("t", `${i}`), 0, NOW, [queue]);
      await journal.committed();
      queue.acknowledge(11);
      journal = await kind.restart(journal);
      let again = journal.queue("q");
      assert.deepEqual([again.headIndex, again.tailIndex], [11, 30]);
      assert.deepEqual((await again.read(11, ALL)).map((one) => text(one.entry))[0], "12");
      assert.equal((await again.read(0, ALL)).length, 19);
      again.acknowledge(30);
      journal = await kind.restart(journal);
      again = journal.queue("q");
      assert.deepEqual([again.headIndex, again.tailIndex, again.bytes], [30, 30, 0]);
      journal.append(message("t", "31"), 0, NOW, [again]);
      await journal.committed();
      const [next] = await again.read(30, ALL);
      assert.deepEqual([next?.index, next && text(next.entry)], [31, "31"]);
    });
  }

  it("repeats after a crash at most what was acknowledged lately, and loses nothing", async () => {
    let journal = await kind.create();
    const queue = journal.queue("q");
    for (let i = 1; i <= 10; i++) journal.append(message("t", `${i}`), 0, NOW, [queue]);
    await journal.committed();
    queue.acknowledge(4);
    await journal.committed();
    queue.acknowledge(6);
    journal = await kind.crash(journal);
    const again = journal.queue("q");
    assert.ok(again.headIndex >= 4 && again.headIndex <= 6, `${again.headIndex}`);
    const left = await again.read(again.headIndex, ALL);
    assert.equal(left.length, 10 - again.headIndex);
  });

  it("gives up a dropped queue, and a new one of that name begins empty", async () => {
    let journal = await kind.create();
    const old = journal.queue("q");
    journal.append(message("t", "old"), 0, NOW, [old]);
    await journal.committed();
    old.drop();
    assert.deepEqual(journal.queueNames(), []);
    journal.append(message("t", "to nobody"), 0, NOW, [old]);
    const fresh = journal.queue("q");
    journal.append(message("t", "new"), 0, NOW, [fresh]);
    await journal.committed();
    for (let round = 0; round < 2; round++) {
      assert.deepEqual(
        (await journal.queue("q").read(0, ALL)).map((one) => text(one.entry)),
        ["new"],
      );
      await journal.tidy();
      journal = await kind.restart(journal);
    }
  });
}

function rows(kind: JournalKind): void {
  it("keeps rows of each space apart, in order, durable when put resolves", async () => {
    let journal = await kind.create();
    const a = journal.rows("a");
    await Promise.all(["k2", "k1", "k3", "é"].map((key) => a.put(key, Buffer.from(`a ${key}`))));
    await journal.rows("ab").put("k1", Buffer.from("other"));
    journal = await kind.crash(journal);
    const again = journal.rows("a");
    assert.deepEqual(await list(again.entries({})), ["k1", "k2", "k3", "é"]);
    assert.deepEqual(await list(again.entries({ gt: "k1", lte: "k3" })), ["k2", "k3"]);
    assert.deepEqual(await list(again.entries({ gte: "k2", lt: "k3" })), ["k2"]);
    assert.deepEqual(await list(again.entries({ reverse: true, limit: 2 })), ["é", "k3"]);
    assert.equal(String(await again.get("k2")), "a k2");
    assert.equal(await again.get("none"), undefined);
  });

  it("lets the last write of a key win, and clears ranges with what was put before", async () => {
    let journal = await kind.create();
    const space = journal.rows("a");
    void space.put("x", Buffer.from("1"));
    void space.put("x", Buffer.from("2"));
    void space.put("y", Buffer.from("1"));
    void space.del("y");
    void space.put("z/1", Buffer.from("1"));
    await space.clear({ gte: "z/", lt: "z0" });
    journal = await kind.restart(journal);
    assert.deepEqual(await list(journal.rows("a").entries({})), ["x"]);
    assert.equal(String(await journal.rows("a").get("x")), "2");
  });

  it("pages through more rows than it takes at once", async () => {
    const journal = await kind.create();
    const space = journal.rows("a");
    const keys = Array.from({ length: 1500 }, (_, i) => `${i}`.padStart(5, "0"));
    await Promise.all(keys.map((key) => space.put(key, Buffer.alloc(10))));
    assert.deepEqual(await list(space.entries({})), keys);
    assert.deepEqual(await list(space.entries({ reverse: true })), keys.toReversed());
  });
}

function trimming(kind: JournalKind): void {
  it("trims what all cursors and queues have passed, and no more", async () => {
    let journal = await kind.create({ blockBytesMax: 1 });
    const queue = journal.queue("q");
    const cursor = journal.cursor("c");
    for (let i = 1; i <= 20; i++)
      journal.append(message("t", `${i}`), 0, NOW, i > 5 ? [queue] : []);
    await journal.committed();
    cursor.move(12, 12);
    queue.acknowledge(3);
    await journal.tidy();
    assert.deepEqual((await texts(journal))[0], "9");
    queue.acknowledge(15);
    await journal.tidy();
    assert.deepEqual((await texts(journal))[0], "13");
    cursor.move(20, 8);
    await journal.tidy();
    assert.deepEqual(await texts(journal), ["20"]);
    journal = await kind.restart(journal);
    assert.equal(journal.append(message("t", "21"), 0, NOW, []), 21);
    assert.equal(journal.laneTotals[0], 21);
    await journal.committed();
    assert.deepEqual(await texts(journal), ["20", "21"]);
    assert.equal(journal.counters.missingEntries, 0);
  });

  it("keeps after a crash whatever a reader has not durably passed", async () => {
    let journal = await kind.create({ blockBytesMax: 1 });
    for (let i = 1; i <= 10; i++) journal.append(message("t", `${i}`), 0, NOW, []);
    journal.cursor("c").move(7, 7);
    await journal.committed();
    await journal.tidy();
    journal.cursor("c").move(9, 2);
    journal = await kind.crash(journal);
    const { seq } = journal.cursor("c");
    assert.deepEqual(await texts(journal, seq), ["8", "9", "10"].slice(seq - 7));
    await journal.tidy();
    assert.deepEqual(await texts(journal, seq), ["8", "9", "10"].slice(seq - 7));
    assert.equal(journal.counters.missingEntries, 0);
  });

  it("refuses to append when full, still takes positions and rows, and recovers when trimmed", async () => {
    const journal = await kind.create({ bytesMax: 2 ** 20, blockBytesMax: 8192 });
    const cursor = journal.cursor("c");
    const payload = "x".repeat(4000);
    const full = async () => {
      for (let i = 0; i < 1000; i++) {
        journal.append(message("t", payload), 0, NOW, []);
        await journal.committed();
      }
    };
    await assert.rejects(full, (error) => isCode(error, "ERR_STORE_FULL"));
    assert.ok(journal.counters.refusedFull > 0);
    const { lastSeq } = journal;
    await journal.rows("a").put("k", Buffer.from("v"));
    cursor.move(lastSeq, lastSeq);
    await journal.tidy();
    assert.ok(journal.storeBytes < 2 ** 19, `${journal.storeBytes} bytes`);
    assert.equal(journal.append(message("t", payload), 0, NOW, []), lastSeq + 1);
    await journal.committed();
  });

  it("refuses to append while too much waits for the disk", async () => {
    const journal = await kind.create({ pendingBytesMax: 1000 });
    const flood = () => {
      for (let i = 0; i < 100; i++) journal.append(message("t", "x".repeat(50)), 0, NOW, []);
    };
    assert.throws(flood, (error) => isCode(error, "ERR_STORE_FULL"));
    await journal.committed();
    assert.ok(journal.append(message("t", "x"), 0, NOW, []) > 1);
  });
}

function endings(kind: JournalKind): void {
  it("makes everything durable when it stops, and takes nothing after", async () => {
    let journal = await kind.create();
    journal.append(message("t", "last"), 0, NOW, [journal.queue("q")]);
    journal.cursor("c").move(1, 1);
    const stopped = journal;
    journal = await kind.restart(journal);
    assert.deepEqual(await texts(journal), ["last"]);
    assert.equal(journal.queue("q").tailIndex, 1);
    assert.throws(
      () => stopped.append(message("t", "late"), 0, NOW, []),
      (error) => isCode(error, "ERR_STORE_CLOSED"),
    );
    await assert.rejects(stopped.committed(), (error) => isCode(error, "ERR_STORE_CLOSED"));
    await assert.rejects(stopped.rows("a").put("k", Buffer.alloc(1)), (error) =>
      isCode(error, "ERR_STORE_CLOSED"),
    );
    await stopped.stop();
    assert.equal(stopped.state.get().at, "closed");
  });
}

function message(topic: string, payload: string): Message {
  return { topic, payload: Buffer.from(payload), qos: 1, retain: false, properties: null };
}

function plain(one: Message): unknown {
  const properties = one.properties && Buffer.from(one.properties).toString("hex");
  return { ...one, payload: Buffer.from(one.payload).toString(), properties };
}

function text(entry: Entry): string {
  return Buffer.from(entry.message.payload).toString();
}

async function readPlain(journal: Journal): Promise<unknown[]> {
  const { entries } = await journal.read(0, ALL);
  return entries.map((entry) => ({ ...entry, message: plain(entry.message) }));
}

async function texts(journal: Journal, afterSeq = 0): Promise<string[]> {
  return (await journal.read(afterSeq, ALL)).entries.map(text);
}

async function list(rows: AsyncIterable<readonly [string, Uint8Array]>): Promise<string[]> {
  const keys: string[] = [];
  for await (const [key] of rows) keys.push(key);
  return keys;
}

function isCode(error: unknown, code: string): boolean {
  return error instanceof FieldgateError && error.code === code;
}
