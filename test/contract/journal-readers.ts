import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { it } from "node:test";
import { ALL, isCode, message, NOW, text, texts } from "../support/journal-samples.ts";
import type { JournalKind } from "../support/journals.ts";

export function cursors(kind: JournalKind): void {
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

  it("keeps what was dropped, and why, with the place", async () => {
    let journal = await kind.create();
    const cursor = journal.cursor("uplink/bulk");
    assert.deepEqual(cursor.dropped, {});
    cursor.move(10, 10, { full: 4, expired: 1 });
    cursor.move(11, 1, { full: 1 });
    cursor.move(12, 1);
    for (let round = 0; round < 2; round++) {
      const { seq, count, dropped } = journal.cursor("uplink/bulk");
      assert.deepEqual([seq, count, dropped], [12, 12, { full: 5, expired: 1 }]);
      journal = await kind.restart(journal);
    }
    assert.throws(() => journal.cursor("uplink/bulk").move(13, 1, { "=": 1 }), /no reason/);
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

export function queues(kind: JournalKind): void {
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

export function trimming(kind: JournalKind): void {
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
    assert.ok(journal.append(message("t", "21"), 0, NOW, []) > 20);
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
    const payload = randomBytes(3000).toString("base64"); // what LevelDB cannot make smaller
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
