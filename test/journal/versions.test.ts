import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import { silentLog } from "../../src/base/log.ts";
import { systemClock } from "../../src/base/system-clock.ts";
import { newCounters } from "../../src/journal/counters.ts";
import { FORMAT, type StoreFormat } from "../../src/journal/format.ts";
import { kindKey } from "../../src/journal/keys.ts";
import { LevelStore } from "../../src/journal/level-store.ts";
import { MemoryStore } from "../../src/journal/memory-store.ts";
import { openStore } from "../../src/journal/start.ts";
import type { Change, Store } from "../../src/journal/store.ts";
import { isCode } from "../support/journal-samples.ts";

const ID = "00112233445566778899aabbccddeeff";
const NEVER = new AbortController().signal;
const TOOLS = { clock: systemClock, log: silentLog, random: () => 0 };
const OLD = Buffer.from("old");

/** Version n + 1 has the row "v" changed from n to n + 1, and a row more. */
const step = (from: number) => async (store: Store) => {
  assert.deepEqual(await store.get(kindKey(0x76)), Buffer.from([from]));
  return [row(0x76, [from + 1]), row(0x77, [from])];
};

for (const kind of ["memory", "level"] as const) {
  describe(`a store of another version, ${kind}`, () => {
    it("is brought to this one, step by step, and keeps its id and its rows", async (t) => {
      const store = await storeOfVersion(kind, t, 1);
      const format = versioned(3, [1, 2]);
      assert.equal((await open(store, format)).id, ID);
      assert.deepEqual(await store.get(kindKey(0x76)), Buffer.from([3]));
      assert.deepEqual(await store.get(kindKey(0x78)), OLD);
      await store.close();
      assert.equal((await open(store, format)).id, ID, "not a second time");
      await store.close();
    });

    it("is refused when it is newer, and nothing in it has changed", async (t) => {
      const store = await storeOfVersion(kind, t, 2);
      await assert.rejects(open(store, versioned(1, [])), (error: Error) => {
        assert.match(error.message, /format 2.*up to 1.*install the newer version/);
        return isCode(error, "ERR_STORE_FORMAT");
      });
      assert.equal((await open(store, versioned(2, []))).id, ID);
      assert.deepEqual(await store.get(kindKey(0x78)), OLD);
      await store.close();
    });

    it("is refused when a step is missing, before the first one is taken", async (t) => {
      const store = await storeOfVersion(kind, t, 1);
      await assert.rejects(open(store, versioned(3, [1])), (error: Error) => {
        assert.match(error.message, /format 1.*no way from there to 3/);
        return isCode(error, "ERR_STORE_FORMAT");
      });
      assert.equal((await open(store, versioned(1, []))).id, ID);
      assert.deepEqual(await store.get(kindKey(0x76)), Buffer.from([1]));
      await store.close();
    });
  });
}

describe("a migration", () => {
  it("that a power cut ends leaves one version or the other, and goes on at the next start", async () => {
    for (let failing = 1; failing <= 2; failing++) {
      const store = await filled(new MemoryStore(systemClock.afterTurn, TOOLS.random), 1);
      let writes = 0;
      store.onWrite = () => {
        if (++writes === failing) throw new Error("power cut");
      };
      await assert.rejects(open(store, versioned(3, [1, 2])), /power cut/);
      store.onWrite = () => {};
      store.crash();
      assert.equal((await open(store, versioned(3, [1, 2]))).id, ID);
      assert.deepEqual(await store.get(kindKey(0x76)), Buffer.from([3]));
    }
  });

  it("leads from every version before to this one", () => {
    for (let from = 1; from < FORMAT.version; from++) assert.ok(FORMAT.migrations.has(from));
    assert.equal(FORMAT.migrations.size, FORMAT.version - 1);
  });
});

function versioned(version: number, from: readonly number[]): StoreFormat {
  return { version, migrations: new Map(from.map((each) => [each, step(each)])) };
}

function open(store: Store, format: StoreFormat) {
  return openStore(store, "f".repeat(32), TOOLS, newCounters(), async () => false, NEVER, format);
}

async function storeOfVersion(
  kind: "memory" | "level",
  t: TestContext,
  version: number,
): Promise<Store> {
  if (kind === "memory") {
    return filled(new MemoryStore(systemClock.afterTurn, TOOLS.random), version);
  }
  const path = await mkdtemp(join(tmpdir(), "fieldgate-versions-"));
  t.after(() => rm(path, { recursive: true, force: true }));
  return filled(new LevelStore(path, 2 ** 30, systemClock), version);
}

async function filled<Kind extends Store>(store: Kind, version: number): Promise<Kind> {
  await openStore(
    store,
    ID,
    TOOLS,
    newCounters(),
    async () => false,
    NEVER,
    versioned(version, []),
  );
  await store.write([row(0x76, [version]), { key: kindKey(0x78), value: OLD }], true);
  await store.close();
  return store;
}

function row(kind: number, bytes: readonly number[]): Change {
  return { key: kindKey(kind), value: Buffer.from(bytes) };
}
