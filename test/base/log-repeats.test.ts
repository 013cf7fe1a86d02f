import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { jsonLog } from "../../src/base/log.ts";
import { LogRepeats, type RepeatLimits } from "../../src/base/log-repeats.ts";
import { systemClock } from "../../src/base/system-clock.ts";

const MINUTE = 60_000;

describe("a log without repetitions", () => {
  it("writes the first of a kind, then one in a while, which says how many were left out", () => {
    const { log, clock, told, repeats } = logOf({ most: 3, everyMs: 10 * MINUTE });
    for (let second = 0; second < 600; second++) {
      log.warn("device not open", { device: "boiler", attempt: second });
      clock.advance(1000);
    }
    assert.deepEqual(
      told(),
      [0, 1, 2].map((attempt) => ({ device: "boiler", attempt })),
    );
    assert.equal(repeats.leftOut, 597);
    log.warn("device not open", { device: "boiler" });
    assert.deepEqual(told()[3], { device: "boiler", leftOut: 597 });
    clock.advance(60 * MINUTE);
    for (let i = 0; i < 5; i++) log.warn("device not open", { device: "boiler" });
    assert.equal(told().length, 7, "after a quiet hour it may say so again");
  });

  it("keeps things, reasons and parts apart, and never leaves out what it says for the first time", () => {
    const { log, told, repeats } = logOf({ most: 1, everyMs: MINUTE });
    const part = log.part("devices");
    for (let round = 0; round < 2; round++) {
      log.warn("not open", { device: "boiler", code: "A" });
      log.warn("not open", { device: "boiler", code: "B" });
      log.warn("not open", { device: "meter", code: "A" });
      part.warn("not open", { device: "boiler", code: "A" });
      log.debug("seen");
    }
    assert.equal(told().length, 4 + 2);
    assert.equal(repeats.leftOut, 4);
  });

  it("keeps what was used up when it is given the same limits again, and begins anew with others", () => {
    const { log, told, repeats } = logOf({ most: 1, everyMs: MINUTE });
    log.info("about");
    repeats.limits = { most: 1, everyMs: MINUTE, kindsMax: 1000 };
    log.info("about");
    assert.equal(told().length, 1);
    repeats.limits = { most: 2, everyMs: MINUTE, kindsMax: 1000 };
    for (let i = 0; i < 3; i++) log.info("about");
    assert.deepEqual(told(), [{}, { leftOut: 1 }, {}]);
  });

  it("remembers as many kinds as it may, and counts those that it forgets", () => {
    const { log, told, repeats } = logOf({ most: 1, everyMs: MINUTE, kindsMax: 10 });
    for (let i = 0; i < 11; i++) log.info("about", { name: `n${i}` });
    log.info("about", { name: "n0" });
    log.info("about", { name: "n10" });
    assert.equal(told().length, 12, "the oldest is forgotten, the newest is not");
    assert.equal(repeats.forgotten, 2);
    repeats.limits = { most: 1, everyMs: MINUTE, kindsMax: 2 };
    assert.equal(repeats.forgotten, 10);
    log.info("about", { name: "n10" });
    assert.equal(told().length, 12, "fewer are known, and those as before");
  });
});

function logOf(limits: Omit<RepeatLimits, "kindsMax"> & Partial<RepeatLimits>) {
  const clock = {
    nowMs: 0,
    monotonicMs: () => clock.nowMs,
    advance: (ms: number) => {
      clock.nowMs += ms;
    },
  };
  const repeats = new LogRepeats(clock);
  repeats.limits = { kindsMax: 1000, ...limits };
  const lines: string[] = [];
  const write = (line: string) => void lines.push(line);
  const log = repeats.thinned(jsonLog({ clock: systemClock, level: "debug", write }));
  const told = () =>
    lines.map((line) => {
      const { time: _, level: __, message: ___, part: ____, ...fields } = JSON.parse(line);
      return fields;
    });
  return { log, clock, told, repeats };
}
