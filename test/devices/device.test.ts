import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { FieldgateError } from "../../src/base/errors.ts";
import type { DeviceConfig } from "../../src/config/schema.ts";
import type { Device, DeviceLimits } from "../../src/devices/device.ts";
import { deviceFor } from "../../src/devices/device-for.ts";
import {
  type Port,
  type PortListener,
  type PortTrouble,
  portError,
} from "../../src/devices/port.ts";
import { seededRandom } from "../support/random.ts";
import { SimClock } from "../support/sim-clock.ts";
import { BOUNDS } from "./boards-support.ts";
import { deviceTools } from "./device-tools.ts";
import { FRAMING } from "./framing-support.ts";

const CONFIG: DeviceConfig = {
  name: "door",
  port: "/dev/fake",
  baudRate: 9600,
  dataBits: 8,
  parity: "none",
  stopBits: 1,
  framing: { ...FRAMING, check: "xor" },
  decode: { type: "key-value" },
  topic: "d/{device}/{field}",
  qos: 1,
  retain: false,
  ...BOUNDS,
};

describe("a device", () => {
  it("publishes what a frame says, in order, and accepts it when the sink has taken all of it", async () => {
    const bench = await opened();
    bench.port.say(`${line("a=1 b=2")}${line("a=3")}`);
    assert.deepEqual(bench.sink.asked, [
      'd/door/a {"value":1}',
      'd/door/b {"value":2}',
      'd/door/a {"value":3}',
    ]);
    check(bench, { frames: 2, accepted: 0, inflight: 2, messages: 0 });
    bench.sink.answer(2);
    await bench.clock.run(200);
    check(bench, { frames: 2, accepted: 1, inflight: 1, messages: 2 });
    bench.sink.answer(1);
    await bench.clock.run(300);
    check(bench, { frames: 2, accepted: 2, inflight: 0, messages: 3 });
    assert.equal(bench.device.status().lastFrameMs, 1_700_000_000_100);
  });

  it("counts every frame that it refuses under its reason", async () => {
    const bench = await opened();
    bench.port.say(
      `${line("a=1")}a=2*00\n${line("boot")}${line("=1")}${"x".repeat(2000)}\n${line("/=1 =2")}`,
    );
    bench.sink.refuse(1, new FieldgateError("ERR_STORE_FULL", "full"));
    await bench.clock.run(200);
    bench.port.say("a=");
    await bench.clock.run(2000);
    check(bench, {
      frames: 7,
      accepted: 0,
      refused: { checksum: 1, "not-key-value": 3, "too-long": 1, ERR_STORE_FULL: 1, timeout: 1 },
    });
  });

  it("refuses a frame once when the sink refuses some of its messages", async () => {
    const bench = await opened();
    bench.port.say(line("a=1 b=2 c=3"));
    bench.sink.answer(1);
    bench.sink.refuse(1, new Error("a bug"));
    bench.sink.answer(1);
    await bench.clock.run(200);
    check(bench, { frames: 1, accepted: 0, messages: 2, refused: { "sink-failed": 1 } });
  });

  it("asks no more of the sink than its bound and pauses the port", async () => {
    const bench = await opened({ inflightMax: 4 });
    bench.port.say(Array.from({ length: 10 }, (_, n) => line(`n=${n}`)).join(""));
    assert.equal(bench.sink.asked.length, 4);
    assert.equal(bench.port.flowing, false);
    check(bench, { frames: 10, inflight: 10, paused: 1 });
    for (let answered = 0; answered < 10; answered++) {
      assert.ok(bench.sink.asked.length - answered <= 4);
      bench.sink.answer(1);
      await bench.clock.run(bench.clock.monotonicMs() + 10);
    }
    assert.deepEqual(
      bench.sink.asked,
      Array.from({ length: 10 }, (_, n) => `d/door/n {"value":${n}}`),
    );
    assert.equal(bench.port.flowing, true);
    check(bench, { frames: 10, accepted: 10, inflight: 0, paused: 1 });
  });

  it("does not take its own pause for silence on the line", async () => {
    const bench = await opened({ inflightMax: 1 });
    const whole = line("n=2");
    bench.port.say(`${line("n=1")}${whole.slice(0, 4)}`);
    await bench.clock.run(60_000);
    bench.sink.answer(1);
    await bench.clock.run(60_100);
    assert.equal(bench.port.flowing, true);
    bench.port.say(whole.slice(4));
    assert.deepEqual(bench.sink.asked, ['d/door/n {"value":1}', 'd/door/n {"value":2}']);
  });

  it("says why the port is not open, and comes back by itself", async () => {
    const bench = start({ backoffFirstMs: 1000, backoffMaxMs: 1000 });
    const { device, port, clock } = bench;
    assert.equal(describeState(device), "closed");
    await device.start(new AbortController().signal);
    assert.equal(describeState(device), "opening");
    for (const trouble of ["no-such-port", "permission-denied", "busy"] as const) {
      port.fail(trouble);
      await clock.run(clock.monotonicMs() + 1);
      assert.equal(describeState(device), `waiting ${trouble}`);
      await clock.run(clock.monotonicMs() + 1100);
      assert.equal(describeState(device), `opening ${trouble}`);
    }
    port.succeed();
    await clock.run(clock.monotonicMs() + 1);
    assert.equal(describeState(device), "open");
    port.say("a=");
    port.lose();
    assert.equal(describeState(device), "waiting unplugged");
    await clock.run(clock.monotonicMs() + 1100);
    port.succeed();
    await clock.run(clock.monotonicMs() + 1);
    port.say(line("a=1"));
    assert.equal(describeState(device), "open");
    check(bench, { frames: 2, inflight: 1, reopened: 1, refused: { incomplete: 1 } });
  });

  it("closes a port that opens after it was given up, and believes nothing that it says", async () => {
    const bench = start({ openTimeoutMs: 1000, backoffFirstMs: 100_000, backoffMaxMs: 100_000 });
    await bench.device.start(new AbortController().signal);
    await bench.clock.run(1100);
    assert.equal(describeState(bench.device), "waiting timeout");
    bench.port.succeed();
    await bench.clock.run(1200);
    bench.port.say(line("a=1"));
    assert.equal(bench.port.closed, 1);
    check(bench, { frames: 0, bytes: 0 });
  });

  it("stops only when the port is closed and the sink has answered", async () => {
    const bench = await opened();
    bench.port.say(`${line("a=1")}b=`);
    let stopped = false;
    const stopping = bench.device.stop().then(() => {
      stopped = true;
    });
    await bench.clock.run(1000);
    assert.equal(stopped, false);
    bench.sink.answer(1);
    await stopping;
    assert.equal(bench.port.closed, 1);
    assert.equal(describeState(bench.device), "closed");
    check(bench, { frames: 2, accepted: 1, inflight: 0, refused: { incomplete: 1 } });
  });

  it("stops when it never started, and while it waits", async () => {
    await start({}).device.stop();
    const bench = start({});
    await bench.device.start(new AbortController().signal);
    bench.port.fail("busy");
    await bench.clock.run(10);
    await bench.device.stop();
    assert.equal(describeState(bench.device), "closed");
  });

  it("does not start when it was told to give up", async () => {
    const bench = start({});
    await assert.rejects(bench.device.start(AbortSignal.abort(new Error("enough"))), /enough/);
    assert.equal(describeState(bench.device), "closed");
  });
});

/** Compares the named counters, and that the books balance. */
function check(bench: Bench, expected: Partial<ReturnType<Device["status"]>["counters"]>): void {
  const { counters } = bench.device.status();
  const picked = Object.keys(expected).map((key) => [key, counters[key as keyof typeof counters]]);
  assert.deepEqual(Object.fromEntries(picked), expected);
  const refused = Object.values(counters.refused).reduce((sum, count) => sum + count, 0);
  assert.equal(counters.frames, counters.accepted + refused + counters.inflight);
}

type Bench = ReturnType<typeof start>;

function start(limits: Partial<DeviceLimits>) {
  const clock = new SimClock();
  const port = new FakePort();
  const sink = new FakeSink();
  const tools = deviceTools((message) => sink.admit(message), clock, seededRandom(1));
  return { clock, port, sink, device: deviceFor(CONFIG, { ...tools, limits, port }) };
}

async function opened(limits: Partial<DeviceLimits> = {}): Promise<Bench> {
  const bench = start(limits);
  await bench.device.start(new AbortController().signal);
  bench.port.succeed();
  await bench.clock.run(100);
  return bench;
}

function describeState(device: Device): string {
  const { state, reason } = device.status();
  return reason === null ? state : `${state} ${reason}`;
}

function line(text: string): string {
  const xor = [...text].reduce((sum, character) => sum ^ character.charCodeAt(0), 0);
  return `${text}*${xor.toString(16).padStart(2, "0")}\n`;
}

/** A port in the hand of the test. */
class FakePort implements Port {
  flowing = false;
  closed = 0;
  #listener: PortListener | null = null;
  #settle: { resolve: () => void; reject: (error: Error) => void } | null = null;

  async open(listener: PortListener) {
    await new Promise<void>((resolve, reject) => {
      this.#settle = { resolve, reject };
    });
    this.#listener = listener;
    return {
      pause: () => {
        this.flowing = false;
      },
      resume: () => {
        this.flowing = true;
      },
      write: async () => {},
      close: async () => {
        this.closed += 1;
      },
    };
  }

  succeed(): void {
    this.#settle?.resolve();
  }
  fail(trouble: PortTrouble): void {
    this.#settle?.reject(portError(trouble, "/dev/fake"));
  }
  say(text: string): void {
    this.#listener?.data(Buffer.from(text));
  }
  lose(): void {
    this.#listener?.lost(portError("unplugged", "/dev/fake"));
  }
}

/** A sink that answers when the test says so, in order. */
class FakeSink {
  readonly asked: string[] = [];
  readonly #waiting: { resolve: () => void; reject: (error: Error) => void }[] = [];

  admit(message: { topic: string; payload: Uint8Array }): Promise<void> {
    this.asked.push(`${message.topic} ${Buffer.from(message.payload).toString()}`);
    return new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }));
  }

  answer(count: number): void {
    for (const each of this.#waiting.splice(0, count)) each.resolve();
  }
  refuse(count: number, error: Error): void {
    for (const each of this.#waiting.splice(0, count)) each.reject(error);
  }
}
