import assert from "node:assert/strict";
import { mkdtemp, open, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import { silentLog } from "../../src/base/log.ts";
import { FlashWear } from "../../src/health/flash-wear.ts";
import { SimClock } from "../support/sim-clock.ts";
import { until } from "../support/until.ts";

const WRITTEN = 2 ** 20;

describe("flash wear", () => {
  it("counts what this process has written to the device, and goes on where the run before ended", async (t) => {
    const path = await directory(t);
    const rows = new Map<string, Uint8Array>();
    const first = await counting(path, rows);
    await write(path);
    await first.stop();
    const seen = first.life?.programBytes ?? 0;
    assert.ok(seen >= WRITTEN, `${WRITTEN} bytes were written and synced, ${seen} were seen`);
    const second = await counting(path, rows);
    await write(path);
    await second.stop();
    const both = second.life?.programBytes ?? 0;
    assert.ok(
      both >= seen + WRITTEN,
      `${both} bytes after the second run, ${seen} after the first`,
    );
    assert.equal(second.life?.sinceMs, first.life?.sinceMs);
  });

  it("tells within seconds of the start what was written, and not after a minute only", async (t) => {
    const path = await directory(t);
    const clock = new SimClock();
    const none = { get: async () => undefined, put: async () => {} };
    const wear = flashWear(path, none, clock);
    await wear.start();
    await write(path);
    await clock.run(1000);
    await until("the bytes are told", () => (wear.life?.programBytes ?? 0) >= WRITTEN);
    await wear.stop();
  });

  it("begins anew, and the gateway starts, when what was kept cannot be read", async (t) => {
    const path = await directory(t);
    const rows = new Map<string, Uint8Array>([["wear", Buffer.from("{")]]);
    const wear = await counting(path, rows);
    assert.notEqual(wear.life, null);
    await wear.stop();
    assert.equal(JSON.parse(String(rows.get("wear"))).format, 1);
  });

  it("writes its row once an hour, not with every sample", async (t) => {
    const clock = new SimClock();
    let puts = 0;
    const rows = { get: async () => undefined, put: async () => void puts++ };
    const wear = flashWear(await directory(t), rows, clock);
    await wear.start();
    await clock.run(3_500_000);
    assert.equal(puts, 0);
    await wear.stop();
    assert.equal(puts, 1);
  });
});

async function directory(t: TestContext): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), "fieldgate-wear-"));
  t.after(() => rm(path, { recursive: true, force: true }));
  return path;
}

async function counting(path: string, rows: Map<string, Uint8Array>): Promise<FlashWear> {
  const wear = flashWear(path, {
    get: async (key) => rows.get(key),
    put: async (key, value) => void rows.set(key, value),
  });
  await wear.start();
  return wear;
}

function flashWear(
  path: string,
  rows: ConstructorParameters<typeof FlashWear>[1]["rows"],
  clock = new SimClock(),
): FlashWear {
  const counted = () => ({ messages: 1, messageBytes: 100 });
  return new FlashWear({ path, enduranceBytes: null }, { clock, log: silentLog, rows, counted });
}

async function write(path: string): Promise<void> {
  const file = await open(join(path, "written"), "w");
  await file.write(Buffer.alloc(WRITTEN, 1));
  await file.sync();
  await file.close();
}
