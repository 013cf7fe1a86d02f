import assert from "node:assert/strict";
import { existsSync, mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { FieldgateError } from "../../src/base/errors.ts";
import { silentLog } from "../../src/base/log.ts";
import { systemClock } from "../../src/base/system-clock.ts";
import type { JournalState } from "../../src/journal/journal.ts";
import { LevelStore } from "../../src/journal/level-store.ts";
import { memoryJournal } from "../../src/journal/memory-journal.ts";
import { DEFAULTS, type JournalOptions } from "../../src/journal/options.ts";
import type { Change } from "../../src/journal/store.ts";
import { StoreJournal } from "../../src/journal/store-journal.ts";
import { SimClock } from "../support/sim-clock.ts";

const NEVER = new AbortController().signal;
const ALL = { messagesMax: 10_000, bytesMax: 2 ** 30 };
const OPTIONS: JournalOptions = {
  ...DEFAULTS,
  bytesMax: 2 ** 30,
  durability: "local",
  retry: { firstMs: 5, maxMs: 20 },
};
const TOOLS = { clock: systemClock, log: silentLog, random: Math.random };
const path = mkdtempSync(join(tmpdir(), "fieldgate-faults-"));

/** LevelDB on a disk that can be made to fail. Like LevelDB itself, it takes no write before it was reopened. */
class FailingStore extends LevelStore {
  fault: NodeJS.ErrnoException | null = null;
  #isStuck = false;
  opened = 0;

  override async open(): Promise<void> {
    await super.open();
    this.opened++;
    this.#isStuck = false;
  }

  override async write(changes: readonly Change[], sync: boolean): Promise<void> {
    if (this.fault) this.#isStuck = true;
    if (this.#isStuck) throw this.fault ?? new Error("stuck until reopened");
    await super.write(changes, sync);
  }
}

describe("a journal whose disk fails", () => {
  after(() => rmSync(path, { recursive: true, force: true }));

  it("acknowledges nothing while writes fail, keeps what it took, and goes on by itself", async () => {
    const store = new FailingStore(join(path, "recovers"), OPTIONS.bytesMax, systemClock);
    const journal = new StoreJournal(store, OPTIONS, TOOLS);
    await journal.start(NEVER);
    const states: JournalState["at"][] = [];
    journal.state.follow((state) => states.push(state.at));
    const queue = journal.queue("q");
    journal.append(sample("before"), 0, 0, [queue]);
    await journal.committed();

    store.fault = Object.assign(new Error("input/output error"), { code: "EIO" });
    const seq = journal.append(sample("during"), 0, 0, [queue]);
    const committed = journal.committed();
    await until(() => journal.counters.writeErrors >= 3);
    assert.equal(journal.append(sample("during too"), 0, 0, [queue]), seq + 1);
    assert.equal(journal.durableSeq, 1);
    assert.equal((await queue.read(0, ALL)).length, 1);
    const state = journal.state.get();
    assert.ok(state.at === "failed" && state.error.message.includes("input/output"));

    store.fault = null;
    await committed;
    await journal.committed();
    assert.equal(journal.durableSeq, seq + 1);
    assert.ok(store.opened >= 2);
    assert.equal(journal.state.get().at, "open");
    assert.deepEqual([...new Set(states)], ["failed", "open"]);
    const texts = (await queue.read(0, ALL)).map((one) => String(one.entry.message.payload));
    assert.deepEqual(texts, ["before", "during", "during too"]);
    await journal.stop();
  });

  it("takes no message while the disk is full, and does again once a write has gone through", async () => {
    const store = new FailingStore(join(path, "full"), OPTIONS.bytesMax, systemClock, 2 ** 20);
    const journal = new StoreJournal(store, { ...OPTIONS, tidyEveryMs: 20 }, TOOLS);
    await journal.start(NEVER);
    await until(() => existsSync(join(path, "full", "ballast")));
    store.fault = Object.assign(new Error("no space left on device"), { code: "ENOSPC" });
    const seq = journal.append(sample("before"), 0, 0, []);
    await until(() => journal.room === "disk-full");
    assert.throws(() => journal.append(sample("refused"), 0, 0, []), /the disk is full/);
    await until(() => !existsSync(join(path, "full", "ballast")));
    store.fault = null;
    await journal.committed();
    await until(() => journal.room === "free");
    assert.equal(statSync(join(path, "full", "ballast")).size, 2 ** 20);
    assert.equal(journal.append(sample("after"), 0, 0, []), seq + 1);
    await journal.committed();
    await journal.stop();
  });

  it("stops though writes fail, tells who waits, and has lost nothing that it acknowledged", async () => {
    const store = new FailingStore(join(path, "stops"), OPTIONS.bytesMax, systemClock);
    const journal = new StoreJournal(store, OPTIONS, TOOLS);
    await journal.start(NEVER);
    journal.append(sample("kept"), 0, 0, []);
    await journal.committed();
    store.fault = new Error("input/output error");
    journal.append(sample("never acknowledged"), 0, 0, []);
    const committed = assert.rejects(journal.committed(), isLost);
    await until(() => journal.state.get().at === "failed");
    void journal.tidy();
    await assert.rejects(journal.stop(), isLost);
    await committed;
    assert.equal(journal.state.get().at, "closed");

    const again = new StoreJournal(
      new LevelStore(join(path, "stops"), OPTIONS.bytesMax, systemClock),
      OPTIONS,
      TOOLS,
    );
    await again.start(NEVER);
    assert.ok((await again.read(0, ALL)).entries.length >= 1);
    await again.stop();
  });

  it("waits longer from failure to failure, never longer than it was told", async () => {
    const clock = new SimClock();
    const journal = memoryJournal(
      { retry: { firstMs: 100, maxMs: 1000 } },
      { clock, log: silentLog, random: () => 0.999 },
    );
    await journal.start(NEVER);
    const delays: number[] = [];
    journal.state.follow((state) => {
      if (state.at === "failed") delays.push(Math.round(state.retryAtMs - clock.monotonicMs()));
    });
    journal.onWrite = () => {
      throw new Error("input/output error");
    };
    journal.append(sample("x"), 0, 0, []);
    await clock.run(5000);
    assert.deepEqual(delays.slice(0, 6), [100, 200, 400, 800, 1000, 1000]);
    journal.onWrite = () => {};
    await clock.run(10_000);
    assert.equal(journal.durableSeq, 1);
    await journal.stop();
  });

  it("says with a code that a store cannot be begun, and begins it once the disk takes writes", async () => {
    const store = new FailingStore(join(path, "unbegun"), OPTIONS.bytesMax, systemClock);
    store.fault = Object.assign(new Error("read-only file system"), { code: "EROFS" });
    const refused = { code: "ERR_STORE_OPEN", message: /cannot be opened: read-only file system/ };
    await assert.rejects(new StoreJournal(store, OPTIONS, TOOLS).start(NEVER), refused);
    store.fault = null;
    const journal = new StoreJournal(store, OPTIONS, TOOLS);
    await journal.start(NEVER);
    journal.append(sample("first"), 0, 0, []);
    await journal.committed();
    assert.equal(journal.durableSeq, 1);
    await journal.stop();
  });

  it("gives up the start when told to, and leaves the store free", async () => {
    const store = () => new LevelStore(join(path, "start"), OPTIONS.bytesMax, systemClock);
    const journal = new StoreJournal(store(), OPTIONS, TOOLS);
    await assert.rejects(journal.start(AbortSignal.abort(new Error("enough"))), /enough/);
    await journal.stop();
    const second = new StoreJournal(store(), OPTIONS, TOOLS);
    await second.start(NEVER);
    await second.stop();
  });
});

async function until(condition: () => boolean): Promise<void> {
  const deadline = performance.now() + 5000;
  while (!condition()) {
    assert.ok(performance.now() < deadline, "waited 5 s in vain");
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

function sample(text: string) {
  const payload = Buffer.from(text);
  return { topic: "t", payload, qos: 1 as const, retain: false, properties: null };
}

function isLost(error: unknown): boolean {
  return error instanceof FieldgateError && error.code === "ERR_STORE_WRITE";
}
