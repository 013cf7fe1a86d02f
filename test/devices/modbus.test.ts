import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import type { ModbusFieldConfig, SlaveConfig } from "../../src/config/schema.ts";
import { ChangeFilter } from "../../src/devices/modbus/change.ts";
import { mbapWire } from "../../src/devices/modbus/mbap.ts";
import {
  answerBytes,
  answerTo,
  readRequest,
  type Table,
  writeCoil,
  writeRegisters,
} from "../../src/devices/modbus/pdu.ts";
import { planReads, readingsIn } from "../../src/devices/modbus/plan.ts";
import { rtuWire } from "../../src/devices/modbus/rtu.ts";
import { Schedule } from "../../src/devices/modbus/schedule.ts";
import type { Wire } from "../../src/devices/modbus/wire.ts";
import { seededRandom } from "../support/random.ts";
import { field, meterSlave, modbusDevice } from "./modbus-support.ts";

const SEED = Number(process.env["SEED"] ?? Math.floor(Math.random() * 2 ** 31));
const LINE = { baudRate: 9600, dataBits: 8, parity: "none", stopBits: 1 } as const;
const BOUNDS = { registersMax: 125, gapMax: 0 };

interface Vector {
  readonly name: string;
  readonly unit: number;
  readonly request: string;
  readonly answer: string;
  readonly rtuRequest: string;
  readonly rtuAnswer: string;
  readonly tcpRequest: string;
  readonly tcpAnswer: string;
  readonly reads?: { table: Table; start: number; count: number };
  readonly writes?: { coil?: number; on?: boolean; register?: number; values?: number[] };
  readonly exception?: number;
  readonly fields?: [string, unknown][];
}

const vectors: readonly Vector[] = JSON.parse(
  readFileSync(new URL("../vectors/modbus.json", import.meta.url), "utf8"),
).vectors;

describe("a Modbus master's codec", () => {
  for (const vector of vectors) {
    it(`asks as the vector says and understands the answer: ${vector.name}`, () => {
      const pdu = requestOf(vector);
      assert.equal(hex(pdu), vector.request);
      for (const [wire, asked, answered] of [
        [rtuWire(LINE), vector.rtuRequest, vector.rtuAnswer],
        [mbapWire(), vector.tcpRequest, vector.tcpAnswer],
      ] as const) {
        assert.equal(hex(wire.request(vector.unit, pdu)), asked);
        const answer = wire.push(bytes(answered));
        assert.ok(answer instanceof Uint8Array, `${vector.name}: an answer`);
        assert.equal(hex(answer), vector.answer);
        const said = answerTo(pdu, answer);
        const { exception } = vector;
        if (exception === undefined) assert.equal(said?.is, "answer");
        else assert.deepEqual(said, { is: "exception", code: exception });
      }
    });
  }

  it("finds the answer in any slicing, behind noise and strangers' frames", () => {
    const random = seededRandom(SEED);
    for (let round = 0; round < 300; round++) {
      const vector = vectors[Math.floor(random() * vectors.length)] as Vector;
      const other = vectors.find(({ unit }) => unit !== vector.unit) as Vector;
      const pdu = requestOf(vector);
      // Noise that could begin this very answer, and is none.
      const noise = noiseOf(random, vector.unit, pdu[0] ?? 0);
      const rtu = rtuWire(LINE);
      rtu.request(vector.unit, pdu);
      const line = Buffer.concat([noise, bytes(other.rtuAnswer), bytes(vector.rtuAnswer)]);
      // Now and then noise is an exception with a right check value: nobody can tell it from one that was meant.
      const right = answersIn(line, vector.unit, pdu);
      const where = `seed ${SEED} round ${round}`;
      assert.ok(right.includes(vector.answer), where);
      assert.ok(right.includes(pushed(rtu, line, random) ?? ""), where);
      if (right.length > 1) continue;
      const tcp = mbapWire();
      tcp.request(9, readRequest("input", 0, 1));
      tcp.request(vector.unit, pdu);
      // A late answer to the request before, then the one to this.
      const late = bytes(other.tcpAnswer);
      const now = bytes(vector.tcpAnswer);
      now[1] = 2;
      const stream = Buffer.concat([late, now]);
      assert.equal(pushed(tcp, stream, random), vector.answer, `seed ${SEED} round ${round}`);
    }
  });

  it("takes no answer of another unit or function, with a wrong check value, or of another length", () => {
    const request = readRequest("input", 0, 2);
    for (const answer of [
      "020404000100021edd", // unit 2
      "010304000100020032", // function 3
      "01040400010002ffff", // check value
      "01040200017930", // two bytes instead of four
    ]) {
      const wire = rtuWire(LINE);
      wire.request(1, request);
      assert.equal(wire.push(bytes(answer)), null, answer);
      assert.equal(wire.heard, true);
    }
    for (const [answer, said] of [
      ["8302", null],
      ["84", null],
      ["0405000100020", null],
      ["840200", null],
    ] as const) {
      assert.equal(answerTo(request, bytes(answer)), said, answer);
    }
    assert.equal(answerTo(writeCoil(1, true), bytes("0500010000")), null);
    assert.equal(answerTo(writeRegisters(7, [1]), bytes("0600070002")), null);
  });

  it("gives up a stream that is no Modbus TCP", () => {
    for (const nonsense of ["00010001000601030000", "0001000000000103", "000100000fff0103"]) {
      const wire = mbapWire();
      wire.request(1, readRequest("holding", 0, 1));
      assert.equal(wire.push(bytes(nonsense)), "broken", nonsense);
    }
  });

  it("hears nothing that it did not ask for", () => {
    const wire = rtuWire(LINE);
    const [vector] = vectors as [Vector];
    assert.equal(wire.push(bytes(vector.rtuAnswer)), null);
    wire.request(vector.unit, requestOf(vector));
    wire.reset();
    assert.equal(wire.push(bytes(vector.rtuAnswer)), null);
  });

  it("keeps the silence of the standard", () => {
    const at = (baudRate: number, parity: "none" | "even") =>
      rtuWire({ ...LINE, baudRate, parity }).silenceMs.toFixed(2);
    assert.deepEqual(
      [at(9600, "even"), at(9600, "none"), at(19_200, "even"), at(38_400, "none")],
      ["4.01", "3.65", "2.01", "1.75"],
    );
  });
});

describe("a Modbus poll plan", () => {
  it("reads neighbours in one request and others in their own", () => {
    plan(
      [
        ["input", 0],
        ["input", 1],
        ["input", 3],
        ["holding", 2],
      ],
      BOUNDS,
      "input 0+2 input 3+1 holding 2+1",
    );
    plan(
      [
        ["input", 3],
        ["input", 0],
      ],
      { ...BOUNDS, gapMax: 2 },
      "input 0+4",
    );
    plan(
      [
        ["input", 4],
        ["input", 0],
      ],
      { ...BOUNDS, gapMax: 2 },
      "input 0+1 input 4+1",
    );
  });

  it("asks for no more than the most, and tears no value apart", () => {
    const many = Array.from({ length: 126 }, (_, i) => ["holding", i] as [Table, number]);
    plan(many, BOUNDS, "holding 0+125 holding 125+1");
    plan(
      [
        ["holding", 0, "uint16"],
        ["holding", 1, "float64"],
        ["holding", 5, "uint32"],
      ],
      { registersMax: 4, gapMax: 0 },
      "holding 0+1 holding 1+4 holding 5+2",
    );
    const coils = Array.from({ length: 2001 }, (_, i) => ["coil", i] as [Table, number]);
    plan(coils, BOUNDS, "coil 0+2000 coil 2000+1");
  });

  it("reads what overlaps once, and what has another interval apart", () => {
    plan(
      [
        ["input", 0, "uint32"],
        ["input", 1],
        ["input", 0],
      ],
      BOUNDS,
      "input 0+2",
    );
    const fields = [field({ register: 0 }), field({ register: 1, intervalMs: 50, field: "y" })];
    assert.deepEqual(
      planReads(slave(fields), BOUNDS).map(({ start, intervalMs }) => [start, intervalMs]),
      [
        [0, 1000],
        [1, 50],
      ],
    );
  });

  it("finds the values of a meter in its answer", () => {
    const [vector] = vectors as [Vector];
    const [described] = modbusDevice("/dev/a", meterSlave(17)).modbus.slaves as [SlaveConfig];
    const reads = planReads(described, BOUNDS);
    assert.equal(reads.length, 1);
    const [read] = reads as [(typeof reads)[0]];
    const found = readingsIn(read, bytes(vector.answer).subarray(2));
    assert.deepEqual(
      found.map(({ field: name, value }) => [name, value]),
      vector.fields,
    );
    assert.deepEqual(found[0], { field: "voltage", value: 231.4, unit: "V" });
  });

  it("reads numbers of every type and order", () => {
    for (const [keys, registers, value] of [
      [{ type: "uint16" }, "ffff", 65_535],
      [{ type: "int16" }, "ffff", -1],
      [{ type: "int8" }, "ff80", -128],
      [{ type: "uint8" }, "ff80", 128],
      [{ type: "int16", byteOrder: "little" }, "feff", -2],
      [{ type: "uint32" }, "00010002", 65_538],
      [{ type: "uint32", wordOrder: "little" }, "00020001", 65_538],
      [{ type: "uint32", wordOrder: "little", byteOrder: "little" }, "02000100", 65_538],
      [{ type: "uint32", byteOrder: "little" }, "01000200", 65_538],
      [{ type: "int32" }, "fffffffe", -2],
      [{ type: "uint64" }, "001fffffffffffff", 9_007_199_254_740_991],
      [{ type: "uint64" }, "0020000000000001", "9007199254740993"],
      [{ type: "int64" }, "fffffffffffffffe", -2],
      [{ type: "float32" }, "41ab3333", 21.4],
      [{ type: "float32" }, "7fc00000", null],
      [{ type: "float64" }, "7ff0000000000000", null],
      [{ type: "float64" }, "3ff8000000000000", 1.5],
      [{ type: "uint16", scale: 0.1 }, "0011", 1.7],
      [{ type: "uint16", scale: 0.1, shift: -40 }, "0190", 0],
      [{ type: "uint16", bit: 0 }, "0001", true],
      [{ type: "uint16", bit: 15 }, "8000", true],
      [{ type: "uint32", bit: 16 }, "00010000", true],
      [{ type: "uint16", bit: 1 }, "fffd", false],
      [{ type: "uint16", enum: { "2": "on" } }, "0002", "on"],
      [{ type: "uint16", enum: { "2": "on" } }, "0003", 3],
      [{ type: "int16", enum: { "-1": "fault" } }, "ffff", "fault"],
    ] as const) {
      const [read] = planReads(slave([field({ ...keys, register: 7 } as object)]), BOUNDS);
      assert.ok(read);
      const [reading] = readingsIn(read, bytes(registers));
      assert.deepEqual(reading?.value, value, JSON.stringify([keys, registers]));
    }
    const coils = [3, 10].map((register) =>
      field({ table: "coil", register, field: `c${register}` }),
    );
    const [read] = planReads(slave(coils), { ...BOUNDS, gapMax: 10 });
    assert.ok(read);
    assert.deepEqual(
      readingsIn(read, bytes("0100")).map(({ value }) => value),
      [true, false],
    );
  });
});

describe("a Modbus schedule", () => {
  const [a, b] = [1, 2].map((unit) => {
    return planReads({ ...slave([field({})]), unit, retries: 1, intervalMs: 1000 }, BOUNDS)[0];
  }) as [Parameters<Schedule["answered"]>[0], Parameters<Schedule["answered"]>[0]];
  const make = () => new Schedule([a, b], { silentMs: (failures) => failures * 10_000 });

  it("asks everyone at once, then each at its interval, and makes up for nothing", () => {
    const schedule = make();
    assert.deepEqual(schedule.next(0), { is: "read", read: a });
    schedule.answered(a, 10);
    assert.deepEqual(schedule.next(10), { is: "read", read: b });
    schedule.answered(b, 20);
    assert.deepEqual(schedule.next(20), { is: "wait", untilMs: 1010 });
    schedule.answered(a, 3500);
    assert.equal(schedule.overruns, 1);
    assert.deepEqual(schedule.next(3500), { is: "read", read: b });
    schedule.answered(b, 3510);
    assert.deepEqual(schedule.next(3510), { is: "read", read: a });
  });

  it("tries again after a rest, then leaves a silent slave alone, longer each time", () => {
    const schedule = make();
    schedule.failed(a, 500);
    schedule.answered(b, 510);
    assert.deepEqual(schedule.next(510), { is: "wait", untilMs: 1000 });
    assert.equal(schedule.isSilent(1), false);
    schedule.failed(a, 1500);
    assert.equal(schedule.isSilent(1), true);
    schedule.answered(b, 1600);
    assert.deepEqual(schedule.next(9000), { is: "read", read: b });
    schedule.answered(b, 11_400);
    assert.deepEqual(schedule.next(11_500), { is: "read", read: a });
    // One try is enough to know that it is silent still.
    schedule.failed(a, 12_000);
    schedule.answered(b, 31_900);
    schedule.answered(b, 31_950);
    assert.deepEqual(schedule.next(31_999), { is: "wait", untilMs: 32_000 });
    schedule.answered(a, 32_100);
    assert.equal(schedule.isSilent(1), false);
  });
});

describe("a change filter", () => {
  it("lets through what changed beyond its dead band, and all again when told to forget", () => {
    const filter = new ChangeFilter(
      slave([
        field({ field: "always" }),
        field({ field: "change", publish: "change" }),
        field({ field: "band", publish: "change", deadBand: 0.5 }),
      ]),
    );
    const pass = (always: number, change: string | null, band: number | null) =>
      filter
        .pass([
          { field: "always", value: always },
          { field: "change", value: change },
          { field: "band", value: band },
        ])
        .map((reading) => reading.field)
        .join(" ");
    assert.equal(pass(1, "a", 1), "always change band");
    assert.equal(pass(1, "a", 1.5), "always");
    // Slow drift counts from what was said last.
    assert.equal(pass(1, "b", 1.6), "always change band");
    assert.equal(pass(1, "b", 1.1), "always");
    assert.equal(pass(1, "b", null), "always band");
    assert.equal(pass(1, null, null), "always change");
    assert.equal(filter.unchanged, 6);
    filter.forget();
    assert.equal(pass(1, null, null), "always change band");
  });
});

/** Plans fields and compares `table start+count` of each request. */
function plan(
  fields: readonly (readonly [Table, number, ModbusFieldConfig["type"]?])[],
  bounds: typeof BOUNDS,
  expected: string,
): void {
  const described = fields.map(([table, register, type = "uint16"], i) => {
    return field({ field: `f${i}`, table, register, type });
  });
  const reads = planReads(slave(described), bounds);
  assert.equal(
    reads.map(({ table, start, count }) => `${table} ${start}+${count}`).join(" "),
    expected,
  );
}

function slave(fields: readonly ModbusFieldConfig[]): SlaveConfig {
  return { name: "s", unit: 1, intervalMs: 1000, timeoutMs: 500, retries: 1, fields: [...fields] };
}

function requestOf({ reads, writes }: Vector): Uint8Array {
  if (reads) return readRequest(reads.table, reads.start, reads.count);
  if (writes?.coil !== undefined) return writeCoil(writes.coil, writes.on ?? false);
  return writeRegisters(writes?.register ?? 0, writes?.values ?? []);
}

/** The answer in hexadecimal that a wire finds in bytes that come in pieces. */
function pushed(wire: Wire, line: Uint8Array, random: () => number): string | null {
  for (let from = 0; from < line.length; ) {
    const to = from + 1 + Math.floor(random() * 12);
    const answer = wire.push(line.subarray(from, to));
    if (answer instanceof Uint8Array) return hex(answer);
    from = to;
  }
  return null;
}

function noiseOf(random: () => number, unit: number, code: number): Uint8Array {
  const likely = [unit, code, 0x80 | code, 4];
  return Uint8Array.from({ length: Math.floor(random() * 600) }, () => {
    return random() < 0.5 ? (likely[Math.floor(random() * 4)] ?? 0) : Math.floor(random() * 256);
  });
}

/** What stands in these bytes that is an answer to the request: by its length, its function and a check value of its own. */
function answersIn(line: Uint8Array, unit: number, pdu: Uint8Array): readonly string[] {
  const code = pdu[0] ?? 0;
  const sizes = new Map([
    [code, answerBytes(pdu)],
    [code | 0x80, 2],
  ]);
  const found: string[] = [];
  for (let at = 0; at < line.length; at++) {
    if (line[at] !== unit) continue;
    const size = sizes.get(line[at + 1] ?? -1) ?? 0;
    const end = at + 1 + size + 2;
    if (size === 0 || end > line.length || crcOf(line.subarray(at, end)) !== 0) continue;
    found.push(hex(line.subarray(at + 1, end - 2)));
  }
  return found;
}

/** CRC-16/MODBUS bit by bit; 0 over a frame and its right check value. */
function crcOf(frame: Uint8Array): number {
  let crc = 0xffff;
  for (const byte of frame) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc & 1) === 1 ? (crc >>> 1) ^ 0xa001 : crc >>> 1;
  }
  return crc;
}

function bytes(text: string): Buffer {
  return Buffer.from(text, "hex");
}

function hex(content: Uint8Array): string {
  return Buffer.from(content).toString("hex");
}
