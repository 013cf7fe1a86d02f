import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type Board, type BoardEvent, nextBoard } from "../../firmware-sim/board.ts";
import { NO_FAULTS, onTheCable } from "../../firmware-sim/faults.ts";
import { firmwareOf } from "../../firmware-sim/firmware.ts";
import { fleetOf } from "../../firmware-sim/fleet.ts";
import { randomFrom } from "../../firmware-sim/random.ts";
import { Uart } from "../../firmware-sim/uart.ts";

describe("a board", () => {
  it("boots, then samples at its interval", () => {
    check(
      "tick@0 power-on@0 tick@199 tick@200 tick@200 tick@1199 tick@1200",
      "off | booting | booting | running | running +sample | running | running +sample",
    );
  });

  it("boots again after a brown-out, and what was being sent is cut", () => {
    check(
      "power-on@0 tick@200 brown-out@300 tick@499 tick@500",
      "booting | running | booting +cut | booting | running",
    );
  });

  it("falls silent without power, whatever it was doing", () => {
    check("power-on@0 power-off@1 tick@999", "booting | off +cut | off");
    check("power-on@0 tick@200 power-off@300 brown-out@400", "booting | running | off +cut | off");
  });
});

describe("a cable", () => {
  it("carries the frame as it is while nothing is wrong", () => {
    const sent = onTheCable(Buffer.from("abc"), NO_FAULTS, randomFrom(1));
    assert.deepEqual(sent, { bytes: Buffer.from("abc"), damaged: false, noisy: false });
  });

  it("does to a frame what the seed says, and says so", () => {
    const frame = Buffer.from("0123456789");
    for (let seed = 0; seed < 200; seed++) {
      const on = (fault: object) => onTheCable(frame, { ...NO_FAULTS, ...fault }, randomFrom(seed));
      const dropped = on({ drop: 1 });
      const doubled = on({ double: 1 });
      const half = on({ half: 1 });
      const noisy = on({ noise: 1 });
      assert.deepEqual([dropped.bytes.length, dropped.damaged], [9, true], `seed ${seed}`);
      assert.deepEqual([doubled.bytes.length, doubled.damaged], [11, true], `seed ${seed}`);
      assert.ok(half.bytes.length < 10 && half.damaged, `seed ${seed}`);
      assert.ok(noisy.noisy && !noisy.damaged, `seed ${seed}`);
      assert.deepEqual(Buffer.from(noisy.bytes.subarray(-10)), frame, `seed ${seed}`);
      assert.deepEqual(on({ noise: 1 }), noisy, `seed ${seed} repeats`);
    }
  });
});

describe("firmware", () => {
  it("says the same for the same seed", () => {
    for (const kind of ["thermometer", "door-contact", "vibration", "weather-station"] as const) {
      const [one, same, other] = [7, 7, 8].map((seed) => {
        const say = firmwareOf(kind, "x", 1, randomFrom(seed));
        return Buffer.concat(Array.from({ length: 50 }, (_, i) => say(i + 1))).toString("hex");
      });
      assert.equal(one, same, kind);
      assert.notEqual(one, other, kind);
    }
  });
});

describe("a UART", () => {
  it("sends ten bits a byte at its rate, and makes nothing up for idle time", () => {
    const seen: string[] = [];
    let nowMs = 0;
    const uart = new Uart(9600, nowMs, (bytes) => seen.push(`${bytes.length}@${nowMs}`) > 0);
    for (nowMs = 0; nowMs <= 1000; nowMs += 10) uart.run(nowMs);
    nowMs = 1000;
    uart.send(new Uint8Array(96));
    for (; !uart.isIdle(); nowMs += 10) uart.run(nowMs);
    assert.equal(nowMs, 1110);
    assert.equal(uart.sentBytes, 96);
    const most = Math.max(...seen.map((word) => Number(word.split("@")[0])));
    assert.ok(most <= 11, seen.join(" "));
  });

  it("has room for 512 bytes, and forgets them when the supply fails", () => {
    const uart = new Uart(9600, 0, () => true);
    uart.send(new Uint8Array(500));
    assert.equal(uart.hasRoomFor(12), true);
    assert.equal(uart.hasRoomFor(13), false);
    uart.cut();
    assert.equal(uart.hasRoomFor(600), true);
    uart.run(1000);
    assert.equal(uart.sentBytes, 0);
  });

  it("counts what nobody takes", () => {
    const uart = new Uart(9600, 0, () => false);
    uart.send(new Uint8Array(10));
    uart.run(50);
    assert.deepEqual([uart.sentBytes, uart.lostBytes], [0, 10]);
  });
});

describe("a fleet file", () => {
  it("lists sensors", () => {
    const sensors = [
      { kind: "thermometer", name: "th-1" },
      { kind: "mqtt", name: "mq-1", port: 1883 },
    ];
    assert.deepEqual(fleetOf(JSON.stringify(sensors), "f"), sensors);
    assert.deepEqual(fleetOf(JSON.stringify({ sensors }), "f"), sensors);
  });

  it("says where a mistake is", () => {
    for (const [text, message] of [
      ["7", /f: a fleet is a list/],
      ['[{"kind":"toaster","name":"x"}]', /f: sensor 1: kind toaster is none of/],
      ['[{"kind":"mqtt","name":"x"}]', /sensor 1: port is missing/],
      ['[{"kind":"thermometer","name":"x","port":1}]', /a thermometer has no key port/],
      ['[{"kind":"thermometer","name":"x","count":"1"}]', /count must be a number/],
      ['[{"kind":"thermometer"}]', /name is missing/],
      ['[{"kind":"constructor","name":"x"}]', /kind constructor is none of/],
    ] as const) {
      assert.throws(() => fleetOf(text, "f"), message);
    }
  });
});

/** Plays a script of `event@ms` words and compares the trace of states and actions. */
function check(script: string, trace: string): void {
  let board: Board = { at: "off" };
  const seen = script.split(" ").map((word) => {
    const [event, ms] = word.split("@");
    const timing = { bootMs: 200, intervalMs: 1000 };
    const [next, action] = nextBoard(board, event as BoardEvent, Number(ms), timing);
    board = next;
    return next.at + (action === null ? "" : ` +${action}`);
  });
  assert.equal(seen.join(" | "), trace);
}
