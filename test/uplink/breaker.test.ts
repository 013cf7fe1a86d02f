import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Breaker } from "../../src/uplink/breaker.ts";
import { EndpointBook, inOrder } from "../../src/uplink/endpoint-book.ts";
import { seededRandom } from "../support/random.ts";

const LIMITS = { windowMs: 5000, failurePercent: 60, failuresMin: 3, openMs: 30_000 };

describe("a circuit breaker", () => {
  const cases: [name: string, script: string, expected: string][] = [
    ["stays closed for two failures, which are all there is", "0f 1f", "closed"],
    ["opens for the third within the window", "0f 1000f 4000f", "open"],
    ["stays closed when the first is out of the window by then", "0f 1000f 5000f", "closed"],
    ["stays closed at just 60 percent", "0s 1s 2f 3f 4f", "closed"],
    ["opens above it", "0s 1f 2f 3f", "open"],
    ["forgets successes that are older than the window", "0s 1s 2s 3s 6000f 6001f 6002f", "open"],
    ["opens for good while nobody tries", "0f 1f 2f 90000", "open"],
    ["stays open before its time, whoever tries", "0f 1f 2f 30001t", "open"],
    ["lets one probe through then", "0f 1f 2f 30002t", "probing"],
    ["closes when that succeeds", "0f 1f 2f 30002t 30003s", "closed"],
    ["opens again when that fails", "0f 1f 2f 30002t 30003f", "open"],
    ["begins with a clean slate", "0f 1f 2f 30002t 30003s 30004f 30005f", "closed"],
    ["is deaf to what comes late while it is open", "0f 1f 2f 3s 4f", "open"],
  ];
  for (const [name, script, expected] of cases) {
    it(`${name} (${script})`, () => {
      const breaker = new Breaker(LIMITS);
      for (const step of script.split(" ")) {
        const atMs = Number.parseInt(step, 10);
        if (step.endsWith("f")) breaker.failed(atMs);
        else if (step.endsWith("s")) breaker.succeeded(atMs);
        else if (step.endsWith("t")) breaker.tried(atMs);
      }
      assert.equal(breaker.state.at, expected);
    });
  }

  it("opens again for as long, and counts", () => {
    const breaker = new Breaker(LIMITS);
    for (const atMs of [0, 1, 2]) breaker.failed(atMs);
    assert.equal(breaker.waitMs(2), 30_000);
    breaker.tried(30_002);
    assert.equal(breaker.waitMs(30_002), 0);
    breaker.failed(40_000);
    assert.deepEqual([breaker.waitMs(40_000), breaker.opened], [30_000, 2]);
  });

  const seed = Number(process.env["SEED"] ?? Math.floor(Math.random() * 2 ** 31));
  it(`agrees with counting every event of the last five fifths of the window (SEED=${seed})`, () => {
    const random = seededRandom(seed);
    for (let round = 0; round < 200; round++) checkAgrees(random, `SEED=${seed} round ${round}`);
  });
});

describe("the endpoints of a gateway", () => {
  const list = ["a", "b", "c"].map((name, place) => {
    return { endpoint: `mqtt://${name}`, place, priority: 0, weight: 1 };
  });

  it("are tried those first that have failed least, and come back after a stable connection", () => {
    const book = new EndpointBook(LIMITS, 60_000);
    book.replace(list);
    assert.equal(book.best(0), "mqtt://a");
    book.failed("mqtt://a", 0);
    book.failed("mqtt://b", 1);
    assert.equal(book.best(2), "mqtt://c");
    book.opened("mqtt://c", 2);
    book.failed("mqtt://c", 60_001);
    book.failed("mqtt://c", 60_001);
    assert.equal(book.best(60_002), "mqtt://a");
    book.failed("mqtt://a", 60_003);
    book.opened("mqtt://b", 60_004);
    book.failed("mqtt://b", 120_004);
    assert.equal(book.status()[1]?.failures, 1, "60 s were stable: what was before is forgiven");
  });

  it("are left alone behind an open breaker, all of them if need be", () => {
    const book = new EndpointBook({ ...LIMITS, failuresMin: 1 }, 60_000);
    book.replace(list);
    book.failed("mqtt://a", 0);
    book.failed("mqtt://b", 1000);
    assert.deepEqual([book.best(2000), book.waitMs(2000)], ["mqtt://c", 0]);
    book.failed("mqtt://c", 2000);
    assert.deepEqual([book.best(2000), book.waitMs(2000)], [null, 28_000]);
    assert.equal(book.best(30_000), "mqtt://a");
    book.tried("mqtt://a", 30_000);
    assert.equal(book.breakerOf("mqtt://a"), "probing");
    book.opened("mqtt://a", 30_001);
    assert.equal(book.breakerOf("mqtt://a"), "closed");
  });

  it("keep what was learned of them when the list changes", () => {
    const book = new EndpointBook(LIMITS, 60_000);
    book.replace(list);
    book.failed("mqtt://a", 0);
    book.replace(list.slice(0, 2).toReversed());
    assert.deepEqual(
      book.status().map(({ endpoint, failures }) => [endpoint, failures]),
      [
        ["mqtt://b", 0],
        ["mqtt://a", 1],
      ],
    );
  });

  it("have an order for each gateway that is always the same, and spreads the gateways by weight", () => {
    const weighted = list.map((each, place) => ({ ...each, weight: place === 2 ? 2 : 1 }));
    const firsts = new Map<string, number>();
    let moved = 0;
    for (let gateway = 0; gateway < 2000; gateway++) {
      const first = inOrder(weighted, "spread", `gw-${gateway}`)[0]?.endpoint ?? "";
      assert.equal(inOrder(weighted.toReversed(), "spread", `gw-${gateway}`)[0]?.endpoint, first);
      firsts.set(first, (firsts.get(first) ?? 0) + 1);
      const without = inOrder(weighted.slice(1), "spread", `gw-${gateway}`)[0]?.endpoint;
      if (without !== first) moved++;
    }
    for (const [endpoint, share] of [
      ["a", 500],
      ["b", 500],
      ["c", 1000],
    ] as const) {
      const got = firsts.get(`mqtt://${endpoint}`) ?? 0;
      assert.ok(Math.abs(got - share) < 100, `${endpoint}: ${got}`);
    }
    assert.equal(moved, firsts.get("mqtt://a"), "only those of the broker that went have moved");
  });

  it("stand as they are listed when that is wanted, and by priority before anything else", () => {
    const names = (order: "spread" | "list", changes: number[]) =>
      inOrder(
        list.map((each, place) => ({ ...each, priority: changes[place] ?? 0 })),
        order,
        "gw-a",
      ).map(({ endpoint }) => endpoint.at(-1));
    assert.deepEqual(names("list", [0, 0, 0]), ["a", "b", "c"]);
    assert.deepEqual(names("list", [2, 1, 0]), ["a", "b", "c"]);
    assert.deepEqual(names("spread", [2, 1, 0]), ["c", "b", "a"]);
  });
});

/** The breaker against one that keeps every event with its slice. */
function checkAgrees(random: () => number, hint: string): void {
  const breaker = new Breaker(LIMITS);
  let events: { slice: number; failed: boolean }[] = [];
  let nowMs = 0;
  for (let step = 0; step < 60; step++) {
    nowMs += Math.floor(random() * 900);
    const slice = Math.floor(nowMs / 1000);
    const failed = random() < 0.6;
    events = [...events, { slice, failed }].filter((event) => event.slice > slice - 5);
    const failures = events.filter((event) => event.failed).length;
    if (failed) breaker.failed(nowMs);
    else breaker.succeeded(nowMs);
    const opens = failed && failures >= 3 && failures * 100 > events.length * 60;
    assert.equal(breaker.state.at, opens ? "open" : "closed", `${hint} step ${step}`);
    if (!opens) continue;
    nowMs += 30_000;
    breaker.tried(nowMs);
    breaker.succeeded(nowMs);
    events = [];
  }
}
