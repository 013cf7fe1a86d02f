import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { it } from "node:test";
import { ClassicLevel } from "classic-level";
import { systemClock } from "../../src/base/system-clock.ts";
import { LevelStore } from "../../src/journal/level-store.ts";
import type { Change } from "../../src/journal/store.ts";

const MANY = 4096;
const ROUNDS = 15;

it("a commit with thousands of rows holds the loop up for less than a list of them would, and all are there", async () => {
  const path = await mkdtemp(join(tmpdir(), "fieldgate-write-"));
  const store = new LevelStore(join(path, "ours"), 2 ** 30, systemClock);
  const database = new ClassicLevel<Buffer, Buffer>(join(path, "bare"), ENCODINGS);
  try {
    await store.open();
    await database.open();
    const [ours, list]: [number[], number[]] = [[], []];
    for (let round = 0; round < ROUNDS; round++) {
      ours.push(await heldMs(() => store.write(changes(), false)));
      list.push(await heldMs(() => database.batch(changes().map(operation))));
    }
    const [own, bare] = [Math.min(...ours), Math.min(...list)];
    assert.ok(own * 1.3 < bare, `${own.toFixed(2)} ms, as a list ${bare.toFixed(2)} ms`);
    const range = { gte: keyOf(0), lt: keyOf(MANY), rowsMax: MANY, bytesMax: 2 ** 30 };
    const rows = await store.page(range);
    assert.equal(rows.length, MANY - MANY / 4);
    assert.deepEqual(
      rows.filter(([key, value]) => key.readUInt32BE(1) !== value.readUInt32BE(0)),
      [],
    );
  } finally {
    await store.close();
    await database.close();
    await rm(path, { recursive: true });
  }
});

const ENCODINGS = { keyEncoding: "buffer", valueEncoding: "buffer" };

/** Each fourth of them deletes. */
function changes(): Change[] {
  return Array.from({ length: MANY }, (_, i) => ({
    key: keyOf(i),
    value: i % 4 === 3 ? null : keyOf(i).subarray(1),
  }));
}

function operation({ key, value }: Change) {
  return value === null ? { type: "del" as const, key } : { type: "put" as const, key, value };
}

/** How long the loop is held up. */
async function heldMs(write: () => Promise<void>): Promise<number> {
  const beganMs = performance.now();
  const written = write();
  const tookMs = performance.now() - beganMs;
  await written;
  return tookMs;
}

function keyOf(number: number): Buffer {
  const key = Buffer.from("q0000");
  key.writeUInt32BE(number, 1);
  return key;
}
