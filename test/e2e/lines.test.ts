import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { type Field, startField } from "../../firmware-sim/field.ts";
import { Program } from "../support/program.ts";
import { assertScreen, fieldgate, Going, type Said } from "../support/screens.ts";
import { until } from "../support/until.ts";

describe("a technician at the serial lines", () => {
  let directory: string;
  let field: Field;
  let gateway: Program;
  let socket: string;
  let port: string;

  before(async () => {
    directory = await mkdtemp(join(tmpdir(), "fieldgate-lines-"));
    const meter = { kind: "energy-meter", baudRate: 115_200, transport: "pty" } as const;
    const sensors = [
      { ...meter, name: "meters", units: 2 },
      { ...meter, name: "spare", units: 1, station: 3 },
    ];
    field = await startField({ sensors, seed: 7 });
    port = field.sensor("spare").port ?? "";
    socket = join(directory, "control.sock");
    const file = join(directory, "fieldgate.yaml");
    const slave = (unit: number) => ({
      name: `m${unit}`,
      unit,
      intervalMs: 60_000,
      fields: [{ field: "voltage", table: "input", register: 0, scale: 0.1, unit: "V" }],
    });
    const config = {
      store: { path: join(directory, "store") },
      listeners: [{ name: "lan", port: 0 }],
      control: { socket },
      devices: [
        {
          name: "meters",
          port: field.sensor("meters").port,
          baudRate: 115_200,
          topic: "m/{slave}",
          modbus: { framing: "rtu", slaves: [slave(1), slave(2)] },
        },
      ],
    };
    await writeFile(file, JSON.stringify(config));
    gateway = new Program(file);
    await gateway.start();
    await until("the line is open", async () => {
      const { devices } = JSON.parse((await asked("status", "--json")).out);
      return devices[0].state === "open";
    });
  });

  after(async () => {
    await gateway.terminate();
    await field.stop();
    await rm(directory, { recursive: true, force: true });
  });

  const asked = (...argv: string[]): Promise<Said> => fieldgate(...argv, "--socket", socket);

  it("reads registers and bits of a slave, beside the plan", async () => {
    const { code, out } = await asked("modbus", "read", "meters/m1", "input", "0", "3");
    assert.equal(code, 0, out);
    assertScreen("modbus-read", out.replace(/0x[0-9a-f]{4}/g, "0x#"));
    const limit = await asked("modbus", "read", "meters/m2", "holding", "0", "--json");
    assert.equal(JSON.parse(limit.out).result, "answer");
    assert.match((await asked("modbus", "read", "meters/m2", "coil", "0")).out, /^ +0 +[01] /);
  });

  it("shows the bytes of a write, and writes only without --dry-run", async () => {
    const write = ["modbus", "write", "meters/m1", "coil", "0"];
    const relay = async () => (await asked("modbus", "read", "meters/m1", "coil", "0")).out;
    const dry = await asked(...write, "on", "--dry-run");
    assert.equal(dry.code, 0);
    assert.equal(dry.out, "would send 05 00 00 ff 00 to the slave; nothing was sent\n");
    assert.match(await relay(), / 0 +0 /);
    const done = await asked(...write, "on");
    assert.equal(done.code, 0);
    assertScreen("modbus-write", done.out);
    assert.match(await relay(), / 0 +1 /);
    const several = [...write.slice(0, 3), "registers", "0", "0x000a", "20", "--dry-run"];
    assert.match((await asked(...several)).out, /^would send 10 00 00 00 02 04 00 0a 00 14 /);
  });

  it("is told why there is no answer", async () => {
    const nowhere = await asked("modbus", "read", "meters/m1", "holding", "5000");
    assert.deepEqual([nowhere.code, nowhere.out], [2, "refused: exception-2\n"]);
    assert.match((await asked("modbus", "read", "meters", "input", "0")).out, /no-such-slave/);
    assert.match((await asked("modbus", "read", "pump", "input", "0")).err, /ERR_NOT_THERE/);
    for (const wrong of [
      ["input", "70000"],
      ["input", "0", "126"],
      ["disk", "0"],
      ["input", "x"],
    ]) {
      assert.match((await asked("modbus", "read", "meters/m1", ...wrong)).err, /ERR_USAGE/);
    }
    assert.match((await asked("modbus", "write", "meters/m1", "coil", "0", "x")).err, /ERR_USAGE/);
  });

  it("sees the bytes on a line, in and out", async () => {
    const trace = new Going("serial", "trace", "meters", "--count", "1", "--socket", socket);
    await trace.says(/listening to meters/);
    await asked("modbus", "read", "meters/m1", "holding", "0");
    assert.equal(await trace.ended(), 0);
    assert.match(trace.out, /out 8 bytes\n {4}0000 {2}01 03 00 00 00 01 84 0a /);
    assertScreen("serial-trace", trace.out.replace(/\|.*\|/, "|text|"));
    assert.match((await asked("serial", "trace", "pump")).err, /ERR_NOT_THERE/);
  });

  it("lists what has which port", async () => {
    for (const words of [["serial"], ["serial", "list"]]) {
      const { code, out } = await asked(...words);
      assert.equal(code, 0);
      assert.match(out, /^device meters: \/.*, open$/m);
      // What ports the machine has that tests is not the gateway's doing.
      assertScreen(
        "serial",
        `${out
          .split("\n")
          .filter((line) => line.startsWith("device "))
          .join("\n")}\n`,
      );
    }
  });

  it("is told when no port came and none went", async () => {
    const { code, out, err } = await asked("serial", "identify", "--seconds", "1");
    assert.equal(code, 1);
    assertScreen("serial-identify", out);
    assert.match(err, /\d+ ports seen: plug one in, or pull one/);
  });

  it("finds out who answers at a port, and that a port of the gateway is busy", async () => {
    const { code, out } = await asked("serial", "probe", port, "--units", "4");
    assert.equal(code, 0, out);
    assert.match(out, /^9600 baud, parity none: Modbus RTU: unit 3 answers\n$/);
    assertScreen("serial-probe", out);
    const busy = await asked("serial", "probe", field.sensor("meters").port ?? "");
    assert.deepEqual([busy.code, /ERR_DEVICE_OPEN/.test(busy.err)], [2, true], busy.err);
    const none = await asked("serial", "probe", join(directory, "none"));
    assert.match(none.err, /no such port.*ERR_DEVICE_OPEN/);
    const device = await asked("serial", "probe", "meters");
    assert.match(device.err, /probe wants a PORT, such as .*, not meters; .*ERR_USAGE/);
  });
});
