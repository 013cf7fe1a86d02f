import assert from "node:assert/strict";
import { after, describe, it } from "node:test";
import type { Message } from "../../src/mqtt/message.ts";
import {
  ALL,
  isCode,
  list,
  message,
  NOW,
  plain,
  readPlain,
  text,
  texts,
} from "../support/journal-samples.ts";
import type { JournalKind } from "../support/journals.ts";
import { copies } from "./journal-copies.ts";
import { cursors, queues, trimming } from "./journal-readers.ts";

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
    copies(kind);
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
      time: null,
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

  it("leaves seqs out at each start, and counts and reads on without a loss", async () => {
    let journal = await kind.create();
    journal.append(message("t", "1"), 2, NOW, []);
    journal = await kind.restart(journal);
    assert.ok(journal.append(message("t", "2"), 2, NOW, []) > 2 ** 27);
    await journal.committed();
    assert.equal(journal.counters.missingEntries, 0);
    assert.deepEqual(await texts(journal), ["1", "2"]);
    assert.equal(journal.laneTotals[2], 2);
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
