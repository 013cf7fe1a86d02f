import assert from "node:assert/strict";
import { mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { it } from "node:test";
import { silentLog } from "../../src/base/log.ts";
import { systemClock } from "../../src/base/system-clock.ts";
import { LevelReplicas } from "../../src/journal/level-replicas.ts";
import { seededRandom } from "../support/random.ts";

const NEVER = new AbortController().signal;
const ID = "0123456789abcdef0123456789abcdef";

it("replicas are found again after a restart, one that was removed is gone, and one that cannot be opened keeps no other from it", async () => {
  const path = await mkdtemp(join(tmpdir(), "fieldgate-replicas-"));
  try {
    const first = replicas(path);
    await first.start(NEVER);
    assert.equal((await first.open(ID)).id, ID);
    assert.equal(await first.open(ID), await first.open(ID));
    await first.open("f".repeat(32));
    await first.stop();
    await writeFile(join(path, "replicas", "e".repeat(32)), "a file, not a directory");
    await mkdir(join(path, "replicas", "removed-by-a-crash"));

    const second = replicas(path);
    await second.start(NEVER);
    assert.deepEqual(
      second
        .all()
        .map(({ id }) => id)
        .toSorted(),
      [ID, "f".repeat(32)],
    );
    await second.remove(ID);
    assert.deepEqual(
      second.all().map(({ id }) => id),
      ["f".repeat(32)],
    );
    assert.deepEqual((await readdir(join(path, "replicas"))).toSorted(), [
      "e".repeat(32),
      "f".repeat(32),
    ]);
    await second.stop();
  } finally {
    await rm(path, { recursive: true, force: true });
  }
});

function replicas(path: string): LevelReplicas {
  const tools = { clock: systemClock, log: silentLog, random: seededRandom(1) };
  return new LevelReplicas({ path, bytesMax: 2 ** 26, durability: "local" }, tools);
}
