import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { it } from "node:test";
import { systemClock } from "../../src/base/system-clock.ts";
import { LevelStore } from "../../src/journal/level-store.ts";
import type { Change } from "../../src/journal/store.ts";

const FEW = 32;
const MANY = 128 * FEW;

it("a row costs the loop a fraction in a commit with thousands of them of what it costs in a small one, and all are there", async () => {
  const path = await mkdtemp(join(tmpdir(), "fieldgate-write-"));
  const store = new LevelStore(path, 2 ** 30, systemClock);
  try {
    await store.open();
    await heldMs(store, FEW); // compiled
    const few = Math.min(...(await rounds(() => heldMs(store, FEW)))) / FEW;
    const many = Math.min(...(await rounds(() => heldMs(store, MANY)))) / MANY;
    const said = `${(1000 * few).toFixed(1)} and ${(1000 * many).toFixed(1)} µs`;
    assert.ok(many < few / 4, `a row of ${FEW} and one of ${MANY}: ${said}`);
    const range = { gte: keyOf(0), lt: keyOf(MANY), rowsMax: MANY, bytesMax: 2 ** 30 };
    const rows = await store.page(range);
    assert.equal(rows.length, MANY - MANY / 4);
    assert.deepEqual(
      rows.filter(([key, value]) => key.readUInt32BE(1) !== value.readUInt32BE(0)),
      [],
    );
  } finally {
    await store.close();
    await rm(path, { recursive: true });
  }
});

async function rounds(act: () => Promise<number>): Promise<number[]> {
  const all: number[] = [];
  for (let round = 0; round < 5; round++) all.push(await act());
  return all;
}

/** How long the loop is held up by a write of so many changes, each fourth of which deletes. */
async function heldMs(store: LevelStore, count: number): Promise<number> {
  const changes: Change[] = Array.from({ length: count }, (_, i) => ({
    key: keyOf(i),
    value: i % 4 === 3 ? null : keyOf(i).subarray(1),
  }));
  const beganMs = performance.now();
  const written = store.write(changes, false);
  const tookMs = performance.now() - beganMs;
  await written;
  return tookMs;
}

function keyOf(number: number): Buffer {
  const key = Buffer.from("q0000");
  key.writeUInt32BE(number, 1);
  return key;
}
