import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Device } from "../../src/devices/device.ts";
import { deviceFor } from "../../src/devices/device-for.ts";
import { SimClock } from "../support/sim-clock.ts";
import { deviceTools } from "./device-tools.ts";
import { FakeBus, meterSlave, modbusDevice } from "./modbus-support.ts";

describe("a line of Modbus slaves", () => {
  it("publishes what each slave says, with its units, on its own topic", async () => {
    const bench = await started(
      [17],
      "    - { name: other, unit: 3, fields: [{ field: limit, register: 0, scale: 0.01, unit: A }, { field: relay, table: coil, register: 0 }] }\n",
    );
    bench.bus.meters.set(3, { ...bench.meter, relay: true });
    await bench.clock.run(900);
    assert.deepEqual(bench.said, [
      'm/m17 {"values":{"voltage":231.4,"current":5.25,"power":-1207,"frequency":49.98,"energy":1234567,"state":"feed-in","n":1},"units":{"voltage":"V","current":"A","power":"W","frequency":"Hz","energy":"Wh"}}',
      'm/other {"values":{"limit":16},"units":{"limit":"A"}}',
      'm/other {"values":{"relay":true}}',
    ]);
    check(bench, { frames: 3, accepted: 3, inflight: 0 });
  });

  it("has one request on the wire at a time, with silence between, and keeps each one's interval", async () => {
    const bench = await started([1, 2, 3], "", "intervalMs: 200");
    await bench.clock.run(10_100);
    assert.equal(bench.bus.atOnceMax, 1);
    const { length } = bench.bus.asked;
    assert.ok(length >= 3 * 49 && length <= 3 * 52, `${length} requests in 10 s`);
    for (const unit of [1, 2, 3]) {
      const times = bench.bus.asked.filter((word) => word.startsWith(`${unit}@`)).map(msOf);
      const gaps = times.slice(1).map((ms, i) => ms - (times[i] ?? 0));
      assert.ok(
        gaps.every((gap) => gap >= 150 && gap <= 250),
        `${unit}: ${gaps.join(" ")}`,
      );
    }
  });

  it("gives a line up that takes no bytes, so that nothing of what was asked meanwhile reaches it later", async () => {
    const bench = await started([1], "", "intervalMs: 100");
    await bench.clock.run(1000);
    const before = bench.bus.written.length;
    bench.bus.heldUp = true;
    const coil = { is: "coil", slave: null, register: 0, on: true } as const;
    const first = bench.device.write(coil, () => null);
    const second = bench.device.write({ ...coil, on: false }, () => null);
    await bench.clock.run(1600);
    assert.deepEqual(await first, { is: "timeout", reason: "not-taken" });
    assert.deepEqual(await second, { is: "refused", reason: "port-not-taken" });
    const { state, reason } = bench.device.status();
    assert.deepEqual([state, reason], ["waiting", "not-taken"]);
    bench.bus.heldUp = false;
    await bench.clock.run(5000);
    assert.equal(bench.device.status().state, "open");
    const writes = bench.bus.written.slice(before).filter((bytes) => bytes[1] === 5);
    assert.deepEqual(writes, []);
    assert.ok(bench.bus.written.length > before + 20);
  });

  it("hears every slave of a far end that closes after each answer", async () => {
    const bench = await started([1, 2, 3]);
    const { bus } = bench;
    bus.change = (answer) => {
      void bench.clock.sleep(6).then(() => bus.lose());
      return answer;
    };
    await bench.clock.run(60_000);
    const times = (unit: number) =>
      bench.said.filter((line) => line.startsWith(`m/m${unit} `)).length;
    assert.ok(times(1) > 1 && times(2) > 1 && times(3) > 1, [1, 2, 3].map(times).join());
  });

  it("lets a slave that does not answer cost the others nothing but a time-out now and then", async () => {
    const bench = await started(
      [1, 2],
      "",
      "intervalMs: 100, timeoutMs: 200, retries: 2".replaceAll(", ", "\n      "),
    );
    bench.bus.delaysMs.set(2, null);
    await bench.clock.run(60_000);
    const asked = (unit: number) => bench.bus.asked.filter((word) => word.startsWith(`${unit}@`));
    // Three tries, then one a back-off of 1 s, 2 s, 4 s, ... at full jitter.
    assert.ok(asked(2).length >= 5 && asked(2).length <= 30, `${asked(2).length}`);
    assert.ok(asked(1).length > 560, `the other was asked ${asked(1).length} times of 600`);
    const [one, two] = bench.device.status().slaves ?? [];
    assert.deepEqual([one?.online, two?.online, two?.lastHeardMs], [true, false, null]);
    assert.equal(two?.requests, asked(2).length);
    check(bench, { refused: { "no-answer": asked(2).length } });
    bench.bus.delaysMs.delete(2);
    await bench.clock.run(130_000);
    assert.equal(bench.device.status().slaves?.[1]?.online, true);
  });

  it("takes no late answer for that of another request", async () => {
    const fields =
      "      fields: [{ field: v, table: input, register: 0 }, { field: c, table: input, register: 9 }]\n";
    const bench = await started(
      [],
      `    - name: a\n      unit: 1\n      timeoutMs: 50\n      retries: 0\n${fields}`,
    );
    // Each answer comes after its time-out: none may be taken for one to the other read, whose answer is as long.
    bench.bus.delaysMs.set(1, 90);
    bench.bus.meters.set(1, bench.meter);
    await bench.clock.run(60_000);
    assert.deepEqual(bench.said, []);
    assert.ok(bench.bus.asked.length > 4);
  });

  it("reports exceptions, and the slave counts as there", async () => {
    const bench = await started(
      [],
      "    - { name: a, unit: 1, fields: [{ field: x, table: input, register: 500 }] }\n",
    );
    bench.bus.meters.set(1, bench.meter);
    await bench.clock.run(5500);
    const [slave] = bench.device.status().slaves ?? [];
    assert.equal(slave?.online, true);
    assert.deepEqual(slave?.refusing, [
      { table: "input", start: 500, count: 1, code: 2, text: "illegal data address" },
    ]);
    check(bench, { accepted: 0, refused: { "exception-2": slave?.requests ?? 0 } });
    assert.equal(slave?.exceptions, 6);
  });

  it("counts damaged answers, and asks again", async () => {
    const bench = await started([1]);
    let count = 0;
    bench.bus.change = (answer) => {
      count += 1;
      return count % 2 === 1 ? answer.map((byte, i) => (i === 4 ? byte ^ 1 : byte)) : answer;
    };
    await bench.clock.run(7900);
    const { counters } = bench.device.status();
    assert.equal(counters.accepted, bench.said.length);
    assert.ok(counters.accepted >= 3, JSON.stringify(counters));
    check(bench, { refused: { checksum: counters.frames - counters.accepted } });
  });

  it("publishes changes only where it is told to, and again what the sink refused", async () => {
    const bench = await started(
      [],
      "    - { name: a, unit: 1, intervalMs: 100, fields: [{ field: v, table: input, register: 0, scale: 0.1, publish: change, deadBand: 1 }] }\n",
    );
    bench.bus.meters.set(1, bench.meter);
    await bench.clock.run(450);
    assert.deepEqual(bench.said, ['m/a {"values":{"v":231.4}}']);
    bench.meter.voltage = 232.3;
    await bench.clock.run(650);
    assert.equal(bench.said.length, 1);
    bench.sink.refusing = true;
    bench.meter.voltage = 240;
    await bench.clock.run(850);
    bench.sink.refusing = false;
    await bench.clock.run(1250);
    assert.equal(bench.said.at(-1), 'm/a {"values":{"v":240}}');
    assert.equal(bench.said.filter((word) => word.includes("240")).length, 1);
    check(bench, { inflight: 0 });
    assert.ok((bench.device.status().counters.refused["sink-failed"] ?? 0) >= 1);
  });

  it("asks nobody while the sink is full", async () => {
    const bench = await started([1], "", "intervalMs: 100");
    bench.sink.hold = true;
    await bench.clock.run(60_000);
    const held = bench.bus.asked.length;
    assert.ok(held <= 65, `${held} asked`);
    await bench.clock.run(120_000);
    assert.equal(bench.bus.asked.length, held);
    bench.sink.release();
    await bench.clock.run(125_000);
    assert.ok(bench.bus.asked.length > held + 20);
  });

  it("loses no request in the books when the port goes, and begins anew when it is back", async () => {
    const bench = await started([1, 2], "", "intervalMs: 100");
    bench.bus.delaysMs.set(1, 60);
    await bench.clock.run(1020);
    bench.bus.lose();
    await bench.clock.run(20_000);
    const { counters, slaves, state } = bench.device.status();
    assert.equal(state, "open");
    assert.equal(counters.reopened, 1);
    for (const slave of slaves ?? []) {
      const failures = Object.values(slave.failures).reduce((sum, count) => sum + count, 0);
      const settled = slave.answers + slave.exceptions + failures;
      assert.ok(slave.requests - settled <= 1, JSON.stringify(slave));
    }
    await bench.device.stop();
    check(bench, { inflight: 0 });
    assert.equal(bench.device.status().state, "closed");
    const asked = bench.bus.asked.length;
    await bench.clock.run(30_000);
    assert.equal(bench.bus.asked.length, asked);
  });

  it("stops while it waits, and before it ever started", async () => {
    await (await started([1])).device.stop();
    const idle = bench("    - { name: a, unit: 1, fields: [{ field: x, register: 0 }] }\n");
    await idle.device.stop();
  });
});

type Bench = ReturnType<typeof bench>;

/** Compares the named counters, and that the books balance. */
function check(
  { device: one }: Bench,
  expected: Partial<ReturnType<Device["status"]>["counters"]>,
): void {
  const { counters } = one.status();
  const picked = Object.keys(expected).map((key) => [key, counters[key as keyof typeof counters]]);
  assert.deepEqual(Object.fromEntries(picked), expected);
  const refused = Object.values(counters.refused).reduce((sum, count) => sum + count, 0);
  assert.equal(counters.frames, counters.accepted + refused + counters.inflight);
}

function bench(slaves: string, units: readonly number[] = []) {
  const clock = new SimClock();
  const bus = new FakeBus(clock, units);
  const said: string[] = [];
  const waiting: (() => void)[] = [];
  const sink = {
    refusing: false,
    hold: false,
    release() {
      sink.hold = false;
      for (const resolve of waiting.splice(0)) resolve();
    },
    async admit({ topic, payload }: { topic: string; payload: Uint8Array }) {
      if (sink.refusing) throw new Error("full");
      if (sink.hold) await new Promise<void>((resolve) => waiting.push(resolve));
      said.push(`${topic} ${Buffer.from(payload).toString()}`);
    },
  };
  const made = deviceFor(modbusDevice("/dev/fake", slaves), {
    ...deviceTools(
      (message) => sink.admit(message),
      clock,
      () => 0.999,
    ),
    port: bus,
  });
  const [meter = new FakeBus(clock, [1]).meters.get(1)] = bus.meters.values();
  if (meter === undefined) throw new Error("no meter");
  return { clock, bus, said, sink, device: made, meter };
}

/** A line with whole meters at `units`, each with those keys, and other slaves as YAML. */
async function started(units: readonly number[], others = "", keys = ""): Promise<Bench> {
  const made = bench(units.map((unit) => meterSlave(unit, keys)).join("") + others, units);
  await made.device.start(new AbortController().signal);
  return made;
}

function msOf(word: string): number {
  return Number(word.split("@")[1]);
}
