import assert from "node:assert/strict";
import { describe, it } from "node:test";
import {
  type Board,
  type BoardEvent,
  type BoardTiming,
  nextBoard,
} from "../../firmware-sim/board.ts";
import { Cable, NO_FAULTS, onTheCable } from "../../firmware-sim/faults.ts";
import { firmwareOf } from "../../firmware-sim/firmware.ts";
import { fleetOf } from "../../firmware-sim/fleet.ts";
import { misread } from "../../firmware-sim/misread.ts";
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

  it("is reset by its watchdog when it hangs, and samples nothing meanwhile", () => {
    check(
      "power-on@0 tick@200 hang@300 tick@799 brown-out@800 tick@1000",
      "booting | running | hung | hung | booting +cut | running",
    );
    check(
      "power-on@0 tick@200 hang@300 tick@800 tick@1000",
      "booting | running | hung | booting +cut | running",
    );
  });

  it("falls over again and again while its supply is weak, each time when it has booted", () => {
    check(
      "power-on@0 tick@200 brown-out@300 tick@500 tick@700 tick@900",
      "booting | running | booting +cut | booting +cut | booting +cut | running",
      { failures: 2 },
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
    assert.deepEqual(sent, { bytes: Buffer.from("abc"), damage: null, noisy: false });
  });

  it("does to a frame what the seed says, and says so", () => {
    const frame = Buffer.from("0123456789");
    for (let seed = 0; seed < 200; seed++) {
      const on = (fault: object) => onTheCable(frame, { ...NO_FAULTS, ...fault }, randomFrom(seed));
      const dropped = on({ drop: 1 });
      const doubled = on({ double: 1 });
      const half = on({ half: 1 });
      const noisy = on({ noise: 1 });
      assert.deepEqual([dropped.bytes.length, dropped.damage], [9, "drop"], `seed ${seed}`);
      assert.deepEqual([doubled.bytes.length, doubled.damage], [11, "double"], `seed ${seed}`);
      assert.ok(half.bytes.length < 10 && half.damage === "half", `seed ${seed}`);
      assert.ok(noisy.noisy && noisy.damage === null, `seed ${seed}`);
      assert.deepEqual(Buffer.from(noisy.bytes.subarray(-10)), frame, `seed ${seed}`);
      assert.deepEqual(on({ noise: 1 }), noisy, `seed ${seed} repeats`);
    }
  });
});

describe("a cable over time", () => {
  const frame = Buffer.from("0123456789");

  it("swallows what is sent while it is stuck, and carries again afterwards", () => {
    let lot = 0;
    const cable = new Cable({ ...NO_FAULTS, stuck: 0.5, stuckMs: 100 }, () => lot);
    assert.deepEqual(cable.carry(frame, 1000), {
      bytes: Uint8Array.of(0),
      damage: "stuck",
      noisy: false,
    });
    lot = 0.9;
    assert.equal(cable.carry(frame, 1099).damage, "stuck");
    assert.equal(cable.carry(frame, 1100).damage, null);
  });

  it("is read at a wrong rate for a while", () => {
    let lot = 0;
    const cable = new Cable({ ...NO_FAULTS, baudMismatch: 0.5, mismatchMs: 100 }, () => lot);
    assert.equal(cable.carry(frame, 0).damage, "baud-mismatch");
    lot = 0.9;
    assert.notDeepEqual(Buffer.from(cable.carry(frame, 99).bytes), frame);
    assert.deepEqual(cable.carry(frame, 100), { bytes: frame, damage: null, noisy: false });
  });
});

describe("bytes that are read at another rate than they were sent", () => {
  it("are the same at the same rate, and within what a UART bears", () => {
    const bytes = Uint8Array.from({ length: 256 }, (_, i) => i);
    for (const rate of [1, 0.97, 1.03]) assert.deepEqual(misread(bytes, rate), bytes, `${rate}`);
  });

  it("are other bytes at half and twice the rate", () => {
    // Sent at half the rate each bit is two: 0x55 is 0 1 0 1 0 1 0 1 0 1 on the line. What should be the first stop bit is low.
    assert.deepEqual([...misread(Uint8Array.of(0x55), 0.5)], [0b01100110, 0b11100110]);
    // Sent at twice the rate ten bits are five, and the line is high again: the upper bits are ones.
    assert.deepEqual([...misread(Uint8Array.of(0x00), 2)], [0b11111000]);
    assert.deepEqual([...misread(Uint8Array.of(0xff), 2)], [0xff]);
  });

  it("are never more than the line has time for", () => {
    const random = randomFrom(7);
    for (let round = 0; round < 500; round++) {
      const bytes = Uint8Array.from({ length: 40 }, () => random() * 256);
      const rate = 0.25 + random() * 4;
      assert.ok(misread(bytes, rate).length <= 2 + (40 / rate) * 1.06, `rate ${rate}`);
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
      ['[{"kind":"vibration","name":"x","faults":{"nois":1}}]', /a vibration has no fault nois/],
      ['[{"kind":"vibration","name":"x","faults":{"noise":"1"}}]', /faults.noise must be a number/],
      ['[{"kind":"mqtt","name":"x","port":1,"faults":{"noise":1}}]', /a mqtt has no fault noise/],
    ] as const) {
      assert.throws(() => fleetOf(text, "f"), message);
    }
  });
});

/** Plays a script of `event@ms` words and compares the trace of states and actions. */
function check(script: string, trace: string, more: Partial<BoardTiming> = {}): void {
  let board: Board = { at: "off" };
  const seen = script.split(" ").map((word) => {
    const [event, ms] = word.split("@");
    const timing = { bootMs: 200, intervalMs: 1000, watchdogMs: 500, failures: 0, ...more };
    const [next, action] = nextBoard(board, event as BoardEvent, Number(ms), timing);
    board = next;
    return next.at + (action === null ? "" : ` +${action}`);
  });
  assert.equal(seen.join(" | "), trace);
}
