import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { silentLog } from "../../src/base/log.ts";
import { readEpoch, writeEpoch } from "../../src/site/epoch-row.ts";
import { hedged } from "../../src/site/hedge.ts";
import { ranked } from "../../src/site/rank.ts";
import {
  keysOf,
  type Member,
  readHolder,
  readMember,
  readStanding,
  writeMember,
} from "../../src/site/records.ts";
import { holds } from "../../src/site/role.ts";
import { site } from "../../src/site/site.ts";
import { timingOf } from "../../src/site/timing.ts";
import { SimClock } from "../support/sim-clock.ts";

const text = (value: string) => new TextEncoder().encode(value);

describe("the ranking of candidates", () => {
  it("is by the most complete journals, in buckets, then priority, then the lowest id", () => {
    checkRanking("b:0:100 a:0:100", "a b");
    checkRanking("a:0:100 b:0:101", "b a");
    checkRanking("a:0:100 b:999:1 c:0:101", "c a b");
    checkRanking("a:0:900 b:5000:1", "b a");
    checkRanking("a:4001:100 b:5000:1 c:4000:900", "a b c");
    checkRanking("", "");
  });
});

describe("a lease", () => {
  const lease = { id: "1", ttlMs: 3000, sentMs: 10_000, sentWallMs: 500_000 };

  it("holds until a margin before it can have ended", () => {
    const at = (ms: number) =>
      holds(lease, { monotonicMs: () => 10_000 + ms, wallMs: () => 500_000 + ms });
    assert.deepEqual([0, 2699, 2700, 9000].map(at), [true, true, false, false]);
    const long = { ...lease, ttlMs: 10_000 };
    const clock = (ms: number) => ({ monotonicMs: () => ms, wallMs: () => 490_000 + ms });
    assert.equal(holds(long, clock(18_999)), true);
    assert.equal(holds(long, clock(19_000)), false);
  });

  it("holds no more when the machine slept, as its monotonic clock slept too", () => {
    const after = (monoMs: number, wallMs: number) =>
      holds(lease, { monotonicMs: () => 10_000 + monoMs, wallMs: () => 500_000 + wallMs });
    assert.equal(after(100, 1100), true);
    assert.equal(after(100, 1101), false);
    assert.equal(after(100, -3_600_000), true); // the wall clock was put back: no sleep
  });
});

describe("requests to several members", () => {
  it("ask the next one when one is silent, and take the first answer", async () => {
    await checkHedge("9000+a 10+b", "b of 1 at 310");
    await checkHedge("9000+a 9000+b 5+c", "c of 2 at 605");
    await checkHedge("400+a 9000+b", "a of 0 at 400");
    await checkHedge("10+a 10+b", "a of 0 at 10");
  });

  it("ask the next one at once when one fails, and fail when all have", async () => {
    await checkHedge("10- 10+b", "b of 1 at 20");
    await checkHedge("10- 9000+b 5+c", "c of 2 at 315");
    await checkHedge("10- 20- 30-", "failed at 60");
    await checkHedge("500- 10-", "failed at 500");
  });
});

describe("a row of the epoch", () => {
  it("is 0 at first, then what was written, and refused when it is damaged", async () => {
    const rows = new Map<string, Uint8Array>();
    const disk = {
      get: async (key: string) => rows.get(key),
      put: async (key: string, value: Uint8Array) => void rows.set(key, value),
    };
    assert.equal(await readEpoch(disk), 0);
    await writeEpoch(disk, 4711);
    assert.equal(await readEpoch(disk), 4711);
    for (const damage of ["", "-1", "1e3", "12x", "99999999999999999999"]) {
      rows.set("epoch", text(damage));
      await assert.rejects(readEpoch(disk), { code: "ERR_STORE_FORMAT" });
    }
  });
});

describe("records in etcd", () => {
  const keys = keysOf("plant-7");
  const member: Member = {
    id: "gw-a",
    run: "r",
    address: "10.0.0.1:9000",
    priority: 1,
    version: "0.1.0",
    journal: "j",
    offset: 7,
    replicated: 0,
  };
  const entry = (key: string, value: string, lease = "5") => ({
    key,
    value,
    lease,
    modRevision: 1,
  });

  it("are read as they were written", () => {
    assert.deepEqual(readMember(entry(keys.gateway("gw-a"), writeMember(member)), keys), member);
    assert.deepEqual(readStanding(entry(keys.standing("5"), '{"gateway":"gw-a"}'), keys), {
      lease: "5",
      gateway: "gw-a",
    });
  });

  it("are nothing when they are garbage", () => {
    const broken = ["", "{", "null", "[]", "7", "\ufffd", '{"epoch":7}'];
    for (const value of broken) {
      assert.equal(readHolder(entry(keys.epoch, value)), null);
      assert.equal(readStanding(entry(keys.standing("5"), value), keys), null);
      assert.equal(readMember(entry(keys.gateway("gw-a"), value), keys), null);
    }
    for (const epoch of [-1, 1.5, 2 ** 51, "7"]) {
      const value = JSON.stringify({ epoch, gateway: "gw-a", lease: "5" });
      assert.equal(readHolder(entry(keys.epoch, value)), null);
    }
    const holder = JSON.stringify({ epoch: 7, gateway: "gw-a", lease: "not a number" });
    assert.equal(readHolder(entry(keys.epoch, holder)), null);
    const standing = '{"gateway":"gw-a"}';
    assert.equal(readStanding(entry(keys.standing("5"), standing, "0"), keys), null);
    assert.equal(readStanding(entry(keys.standing("5"), standing, "6"), keys), null);
    assert.equal(readMember(entry(keys.gateway("gw-a"), writeMember(member), "0"), keys), null);
    assert.equal(readMember(entry(keys.gateway("gw-a/x"), writeMember(member)), keys), null);
    const long = writeMember({ ...member, address: "x".repeat(300) });
    assert.equal(readMember(entry(keys.gateway("gw-a"), long), keys), null);
  });
});

describe("a gateway alone", () => {
  it("is primary from its start on, under an epoch above the last one, on its disk before", async () => {
    const rows = new Map<string, Uint8Array>([["epoch", text("41")]]);
    const { part, seen } = alone(rows);
    await part.start(new AbortController().signal);
    assert.deepEqual(seen, ["primary 42, disk 42"]);
    assert.equal(part.role.mayAct(), true);
    await part.stop();
    assert.equal(part.role.mayAct(), false);
    const again = alone(rows);
    await again.part.start(new AbortController().signal);
    assert.deepEqual(again.seen, ["primary 43, disk 43"]);
  });

  it("goes on above an epoch that a receiver has seen, and does not act meanwhile", async () => {
    const rows = new Map<string, Uint8Array>();
    const { part, seen } = alone(rows);
    await part.start(new AbortController().signal);
    part.outdated(0);
    part.outdated(8);
    assert.equal(part.role.mayAct(), false);
    await part.stop();
    assert.deepEqual(seen, [
      "primary 1, disk 1",
      "fenced 1, disk 1",
      "primary 9, disk 9",
      "standby, disk 9",
    ]);
  });

  it("has nobody to hand over to", async () => {
    await assert.rejects(alone(new Map()).part.handOver(), { code: "ERR_SITE_HAND_OVER" });
  });

  it("does not start on a damaged epoch", async () => {
    const { part } = alone(new Map([["epoch", text("x")]]));
    const signal = new AbortController().signal;
    await assert.rejects(part.start(signal), { code: "ERR_STORE_FORMAT" });
    assert.equal(part.role.mayAct(), false);
  });
});

describe("the timing of a site", () => {
  it("renews a lease three times or more before its holder is fenced, and leaves time for a second try", () => {
    for (const ttlSeconds of [1, 2, 3, 10, 60]) {
      const { renewEveryMs, callMsMax } = timingOf(ttlSeconds);
      const fencedMs = ttlSeconds * 1000 - Math.max(300, ttlSeconds * 100);
      assert.ok(fencedMs / renewEveryMs > 3, `TTL ${ttlSeconds} s: every ${renewEveryMs} ms`);
      assert.ok(callMsMax + renewEveryMs < fencedMs, `TTL ${ttlSeconds} s: no second chance`);
    }
  });
});

/** Candidates as `id:replicated:priority`, and their ids, best first. */
function checkRanking(candidates: string, order: string): void {
  const list = candidates
    .split(" ")
    .filter((word) => word !== "")
    .map((word) => {
      const [id = "", replicated, priority] = word.split(":");
      return { id, replicated: Number(replicated), priority: Number(priority) };
    });
  assert.equal(
    ranked(list)
      .map(({ id }) => id)
      .join(" "),
    order,
  );
}

/** Members that answer (`+value`) or fail (`-`) after some ms, and what came when. A member is hedged after 300 ms. */
async function checkHedge(script: string, outcome: string): Promise<void> {
  const clock = new SimClock();
  const attempts = script.split(" ").map((word) => async () => {
    await clock.sleep(Number.parseInt(word, 10));
    if (word.endsWith("-")) throw new Error("failed");
    return word.split("+")[1];
  });
  const result = hedged(attempts, 300, clock).then(
    ({ value, winner }) => `${value} of ${winner} at ${clock.monotonicMs()}`,
    () => `failed at ${clock.monotonicMs()}`,
  );
  await clock.run(10_000);
  assert.equal(await result, outcome);
}

function alone(rows: Map<string, Uint8Array>) {
  const disk = () => new TextDecoder().decode(rows.get("epoch"));
  const part = site(undefined, {
    clock: new SimClock(),
    log: silentLog,
    random: () => 0,
    identity: { gateway: "gw-a", site: "plant-7" },
    version: "0",
    rows: {
      get: async (key) => rows.get(key),
      put: async (key, value) => void rows.set(key, value),
    },
    journalOffset: () => ({ id: "j", seq: 0 }),
  });
  const seen: string[] = [];
  part.role.follow((role) => {
    seen.push(`${role.at}${"epoch" in role ? ` ${role.epoch}` : ""}, disk ${disk()}`);
  });
  return { part, seen };
}
