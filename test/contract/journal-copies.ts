import assert from "node:assert/strict";
import { it } from "node:test";
import type { StoreJournal } from "../../src/journal/store-journal.ts";
import { message, NOW, readPlain } from "../support/journal-samples.ts";
import type { JournalKind } from "../support/journals.ts";

const ALL_BYTES = 2 ** 30;

/** What every implementation promises to those who copy it. */
export function copies(kind: JournalKind): void {
  it("is copied block by block, with the same id, seqs, lanes and bytes, and goes on after a crash", async () => {
    const origin = await filled(kind, 20);
    const copy = await kind.create({ id: origin.id });
    assert.equal(await copyTo(copy, origin, 400), 20);
    assert.equal(copy.id, origin.id);
    assert.deepEqual(copy.laneTotals, origin.laneTotals);
    assert.deepEqual(await readPlain(copy), await readPlain(origin));
    const again = await kind.crash(copy);
    assert.equal(again.durableSeq, 20);
    assert.equal(again.id, origin.id);
    origin.append(message("t", "after"), 2, NOW, []);
    await origin.committed();
    assert.equal(await copyTo(again, origin, ALL_BYTES), 21);
    assert.deepEqual(await readPlain(again), await readPlain(origin));
  });

  it("leaves a block alone that it has, and begins where its origin's oldest block does", async () => {
    const origin = await filled(kind, 12);
    const { entries } = await origin.copies.read(4, ALL_BYTES);
    const copy = await kind.create({ id: origin.id });
    for (const { value } of entries)
      assert.deepEqual(copy.copies.take(value), { isNews: true, missed: 0 });
    for (const { value } of entries) assert.equal(copy.copies.take(value).isNews, false);
    await copy.committed();
    assert.equal(copy.copies.trimmedSeq, 4);
    assert.equal(copy.counters.missingEntries, 0);
    assert.deepEqual(
      (await copy.read(0, { messagesMax: 99, bytesMax: ALL_BYTES })).entries.map(({ seq }) => seq),
      [5, 6, 7, 8, 9, 10, 11, 12],
    );
    assert.equal((await kind.restart(copy)).copies.trimmedSeq, 4);
  });

  it("tells how much is missing in the midst of a copy", async () => {
    const origin = await filled(kind, 12);
    const blocks = (await origin.copies.read(0, ALL_BYTES)).entries;
    const copy = await kind.create({ id: origin.id });
    copy.copies.take(blocks[0]?.value as Buffer);
    assert.deepEqual(copy.copies.take(blocks[4]?.value as Buffer), { isNews: true, missed: 3 });
  });

  it("takes no block that is damaged, or none at all", async () => {
    const origin = await filled(kind, 1);
    const value = Buffer.from((await origin.copies.read(0, ALL_BYTES)).entries[0]?.value as Buffer);
    value[50] = (value[50] ?? 0) ^ 1;
    const copy = await kind.create({ id: origin.id });
    for (const bytes of [value, Buffer.alloc(0), Buffer.alloc(200)]) {
      assert.throws(() => copy.copies.take(bytes), { code: "ERR_STORE_FORMAT" });
    }
    assert.equal(copy.lastSeq, 0);
  });

  it("says what is needed by others than those who copy it, and how much lies behind a place", async () => {
    const origin = await filled(kind, 10);
    assert.equal(origin.copies.neededSeq("peer/"), 10);
    origin.cursor("uplink/a").move(6, 6);
    origin.cursor("peer/b").move(2, 0);
    assert.equal(origin.copies.neededSeq("peer/"), 6);
    assert.equal(origin.copies.neededSeq("nobody/"), 2);
    assert.equal(await origin.copies.bytesAfter(10), 0);
    const [all, half] = [await origin.copies.bytesAfter(0), await origin.copies.bytesAfter(5)];
    assert.ok(all > half && half > 0, `${all} and ${half}`);
  });
}

/** A journal with so many entries, each in a block of its own. */
async function filled(kind: JournalKind, entries: number): Promise<StoreJournal> {
  const journal = await kind.create();
  for (let i = 1; i <= entries; i++) {
    journal.append(message(`t/${i}`, "x".repeat(i)), i % 3, NOW + i, []);
    await journal.committed();
  }
  return journal;
}

/** Copies all that is missing; tells up to where. */
async function copyTo(copy: StoreJournal, origin: StoreJournal, bytesMax: number): Promise<number> {
  for (;;) {
    const { entries } = await origin.copies.read(copy.lastSeq, bytesMax);
    if (entries.length === 0) break;
    for (const { value } of entries) copy.copies.take(value);
  }
  await copy.committed();
  return copy.durableSeq;
}
