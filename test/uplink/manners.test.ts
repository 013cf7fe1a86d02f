import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { TokenBucket } from "../../src/base/token-bucket.ts";
import { DailyBudget } from "../../src/uplink/daily-budget.ts";
import { Hours } from "../../src/uplink/hours.ts";
import { LocalTime } from "../../src/uplink/local-time.ts";
import { Pacer } from "../../src/uplink/pacer.ts";
import { seededRandom } from "../support/random.ts";
import { uplinkOptions } from "../support/uplink-options.ts";

const SEED = Number(process.env["SEED"] ?? Math.floor(Math.random() * 2 ** 32));
const MINUTE = 60_000;

describe("a limit of so many a second", () => {
  it(`holds over any stretch of time, and is used up by who asks for it (SEED=${SEED})`, () => {
    const random = seededRandom(SEED);
    for (let round = 0; round < 200; round++) {
      const perSecond = 1 + Math.floor(random() * 500);
      const unitsMax = 1 + Math.floor(random() * 3 * perSecond);
      checkRate(perSecond, unitsMax, random);
    }
  });

  it("lets a burst of one second pass at once, and then the rate", () => {
    const bucket = new TokenBucket(10);
    let passed = 0;
    while (bucket.waitMs(0) === 0) {
      bucket.take(1, 0);
      passed++;
    }
    assert.equal(passed, 10);
    assert.equal(Math.round(bucket.waitMs(0)), 100);
    assert.equal(Math.round(bucket.waitMs(50)), 50);
    assert.equal(bucket.waitMs(100), 0);
  });

  it("lets what is larger than the burst pass, and then waits it off", () => {
    const bucket = new TokenBucket(100);
    bucket.take(1000, 0);
    assert.equal(Math.round(bucket.waitMs(0)), 9010);
    assert.equal(bucket.waitMs(9011), 0);
  });

  it("saves up no more than the burst, and takes no harm from a clock that stands", () => {
    const bucket = new TokenBucket(5);
    assert.equal(bucket.waitMs(1e9), 0);
    for (let count = 0; count < 5; count++) bucket.take(1, 1e9);
    assert.ok(bucket.waitMs(1e9) > 0);
    assert.ok(bucket.waitMs(0) > 0);
  });
});

describe("hours in which a lane may send", () => {
  it("go over midnight, begin at the minute and end before it", () => {
    const hours = new Hours(["22:00-06:00", "12:30-13:00"], new LocalTime("UTC"));
    const open = (time: string) => hours.isOpen(Date.parse(`2026-03-01T${time}Z`));
    for (const time of ["22:00:00", "23:59:59", "00:00:00", "05:59:59", "12:30:00", "12:59:59"]) {
      assert.equal(open(time), true, time);
    }
    for (const time of ["06:00:00", "12:29:59", "13:00:00", "21:59:59"]) {
      assert.equal(open(time), false, time);
    }
  });

  for (const [night, zone, expected] of [
    ["2026-03-28T12:00Z", "Europe/Berlin", { "22:00-06:00": 7, "02:00-03:00": 0 }],
    ["2026-10-24T12:00Z", "Europe/Berlin", { "22:00-06:00": 9, "02:00-03:00": 2 }],
    ["2026-03-08T00:00Z", "America/New_York", { "22:00-06:00": 7, "02:00-03:00": 0 }],
    ["2026-06-01T12:00Z", "Asia/Kolkata", { "22:00-06:00": 8, "02:00-03:00": 1 }],
    ["2026-04-04T00:00Z", "Australia/Lord_Howe", { "22:00-06:00": 8.5, "01:30-02:00": 1 }],
  ] as const) {
    it(`last as long as the clock on the wall shows them: ${zone}, from ${night}`, () => {
      for (const [span, hours] of Object.entries(expected)) {
        assert.equal(openMinutes(span, zone, Date.parse(night)) / 60, hours, span);
      }
    });
  }

  it("are asked again within a minute while they are closed: the clock on the wall may be set", () => {
    const hours = new Hours(["22:00-06:00"], new LocalTime("UTC"));
    const noon = Date.parse("2026-03-01T12:00:20.500Z");
    assert.equal(hours.waitMs(noon), 39_500);
    assert.equal(hours.waitMs(Date.parse("2026-03-01T23:00Z")), 0);
  });
});

describe("a daily budget", () => {
  it(`is never exceeded over crashes but by one message, whatever the disk has when (SEED=${SEED})`, () => {
    const random = seededRandom(SEED);
    for (let round = 0; round < 300; round++) checkBudget(random);
  });

  it("begins anew with the day, and not when the clock goes back", () => {
    const budget = new DailyBudget(1000, { day: "2026-01-02", bytes: 1000 });
    assert.equal(budget.verdict("2026-01-02"), "used up");
    assert.equal(budget.verdict("2026-01-01"), "used up");
    assert.equal(budget.verdict("2026-01-03"), "must reserve");
    budget.reserved(budget.reservation());
    assert.equal(budget.verdict("2026-01-03"), "may");
  });

  it("does not take a reservation of yesterday for one of today", () => {
    const budget = new DailyBudget(1000, null);
    budget.verdict("2026-01-01");
    const yesterdays = budget.reservation();
    budget.verdict("2026-01-02");
    budget.reserved(yesterdays);
    assert.equal(budget.verdict("2026-01-02"), "must reserve");
  });
});

describe("the pace of the lanes", () => {
  const noon = { nowMs: 0, wallMs: Date.parse("2026-03-01T12:00Z") };

  it("is asked for only when something is limited", () => {
    assert.equal(Pacer.isNeeded(uplinkOptions()), false);
    assert.equal(Pacer.isNeeded(uplinkOptions({ limits: { dailyBytes: 5000 } })), true);
    assert.equal(Pacer.isNeeded(lanes({ bulk: { hours: ["22:00-06:00"] } })), true);
    assert.equal(Pacer.isNeeded(lanes({ alarm: { messagesPerSecond: 1 } })), true);
  });

  it("holds telemetry and bulk by the uplink's limit, and alarms by none but their own", () => {
    const pacer = new Pacer(uplinkOptions({ limits: { messagesPerSecond: 1 } }), null);
    pacer.sent(0, 100, noon);
    assert.deepEqual(
      [0, 1, 2].map((lane) => pacer.waitMs(lane, noon) > 0),
      [false, true, true],
    );
    assert.deepEqual(pacer.status().held, { alarm: null, telemetry: "rate", bulk: "rate" });
    const own = new Pacer(lanes({ alarm: { messagesPerSecond: 1 } }), null);
    own.sent(0, 100, noon);
    assert.deepEqual(
      [0, 1, 2].map((lane) => own.waitMs(lane, noon) > 0),
      [true, false, false],
    );
  });

  it("says what holds a lane, and counts each time that it began", () => {
    const pacer = new Pacer(lanes({ bulk: { hours: ["22:00-06:00"] } }), null);
    pacer.waitMs(2, noon);
    pacer.waitMs(2, noon);
    assert.equal(pacer.status().held.bulk, "hours");
    assert.equal(pacer.status().holds.hours, 1);
    pacer.idle(2);
    assert.equal(pacer.status().held.bulk, null);
    pacer.waitMs(2, noon);
    assert.equal(pacer.status().holds.hours, 2);
  });

  it("leaves only alarms when the day's budget is spent, until the day ends where the gateway stands", () => {
    const budget = new DailyBudget(1000, null);
    const options = uplinkOptions({ limits: { dailyBytes: 1000 }, timeZone: "Europe/Berlin" });
    const pacer = new Pacer(options, budget);
    assert.equal(pacer.waitMs(1, noon), Number.POSITIVE_INFINITY, "nothing is reserved yet");
    assert.equal(pacer.waitMs(0, noon), 0);
    budget.reserved(budget.reservation());
    assert.equal(pacer.waitMs(1, noon), 0);
    pacer.sent(1, 1000, noon);
    assert.ok(pacer.waitMs(1, noon) > 0);
    assert.equal(pacer.status().held.telemetry, "budget");
    assert.equal(pacer.waitMs(0, noon), 0);
    pacer.waitMs(1, { nowMs: 0, wallMs: Date.parse("2026-03-01T22:59Z") });
    assert.equal(pacer.status().held.telemetry, "budget");
    pacer.waitMs(1, { nowMs: 0, wallMs: Date.parse("2026-03-01T23:00Z") });
    assert.equal(pacer.status().held.telemetry, null);
    assert.equal(pacer.status().budget?.day, "2026-03-02");
  });
});

/** Takes at random moments whatever may be taken, and compares each stretch with what the limit allows. */
function checkRate(perSecond: number, unitsMax: number, random: () => number): void {
  const bucket = new TokenBucket(perSecond);
  const takes: Array<{ readonly nowMs: number; readonly units: number }> = [];
  let nowMs = 0;
  for (let step = 0; step < 60; step++) {
    const waitMs = bucket.waitMs(nowMs);
    nowMs += random() < 0.5 ? waitMs : waitMs + random() * 2000;
    assert.equal(bucket.waitMs(nowMs + 1e-6), 0, `SEED=${SEED}: it said ${waitMs} ms`);
    const units = 1 + Math.floor(random() * unitsMax);
    bucket.take(units, nowMs);
    takes.push({ nowMs, units });
  }
  const burst = Math.max(1, perSecond);
  for (let from = 0; from < takes.length; from++) {
    let sum = 0;
    for (let to = from; to < takes.length; to++) {
      const { nowMs: atMs = 0, units = 0 } = takes[to] ?? {};
      sum += units;
      const seconds = (atMs - (takes[from]?.nowMs ?? 0)) / 1000;
      const allowed = perSecond * seconds + burst + unitsMax;
      assert.ok(sum <= allowed + 0.01, `SEED=${SEED}: ${sum} in ${seconds} s at ${perSecond}/s`);
    }
  }
}

/** Spends with reservations that take a while, and crashes at any moment, for one day. */
function checkBudget(random: () => number): void {
  const bytesMax = 1000 + Math.floor(random() * 3_000_000);
  let disk: ReturnType<DailyBudget["reservation"]> | null = null;
  let budget = new DailyBudget(bytesMax, disk);
  let under: ReturnType<DailyBudget["reservation"]> | null = null;
  let spent = 0;
  let crashes = 0;
  for (let step = 0; step < 3000; step++) {
    if (random() < 0.005) {
      budget = new DailyBudget(bytesMax, disk);
      under = null;
      crashes++;
    }
    if (budget.verdict("2026-01-01") === "may") {
      const bytes = 1 + Math.floor(random() * 2000);
      budget.spend(bytes, "2026-01-01");
      spent += bytes;
    }
    if (under === null && budget.wantsReservation) under = budget.reservation();
    else if (under !== null && random() < 0.5) {
      disk = under;
      budget.reserved(under);
      under = null;
    }
  }
  assert.ok(spent < bytesMax + 2000 * (crashes + 1), `SEED=${SEED}: ${spent} of ${bytesMax}`);
}

function openMinutes(span: string, zone: string, fromMs: number): number {
  const hours = new Hours([span], new LocalTime(zone));
  let open = 0;
  for (let minute = 0; minute < 24 * 60; minute++) {
    if (hours.isOpen(fromMs + minute * MINUTE)) open++;
  }
  return open;
}

type Lanes = ReturnType<typeof uplinkOptions>["lanes"];

function lanes(changes: { readonly [name in keyof Lanes]?: Partial<Lanes[name]> }) {
  const { lanes: plain } = uplinkOptions();
  return uplinkOptions({
    lanes: {
      alarm: { ...plain.alarm, ...changes.alarm },
      telemetry: { ...plain.telemetry, ...changes.telemetry },
      bulk: { ...plain.bulk, ...changes.bulk },
    },
  });
}
