import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { FieldgateError } from "../../src/base/errors.ts";
import type { Mistake } from "../../src/config/mistake.ts";
import { parseConfig } from "../../src/config/yaml-load.ts";

describe("a Modbus device", () => {
  it("is what docs/devices.md shows", () => {
    const page = readFileSync(new URL("../../docs/devices.md", import.meta.url), "utf8");
    const [, yaml] = /## Modbus\n.*?```yaml\n(.*?)```/s.exec(page) ?? [];
    assert.ok(yaml);
    const [bus] = parseConfig(yaml, "docs/devices.md").devices;
    assert.deepEqual(
      bus?.modbus?.slaves.map(({ unit, fields }) => [unit, fields.length]),
      [
        [1, 4],
        [2, 4],
      ],
    );
  });

  it("has no framing and no decode of its own", () => {
    check("framing: { type: cobs }, modbus: { slaves: [S] }", [
      "modbus: is there with a framing or decode: a Modbus device has neither",
    ]);
    check("decode: { type: json }, modbus: { slaves: [S] }", [
      "modbus: is there with a framing or decode: a Modbus device has neither",
    ]);
  });

  it("tells its slaves apart, by name, address and topic", () => {
    check("topic: a/b, modbus: { slaves: [S, S] }", [
      "modbus.slaves[1].name: is taken by devices[0].modbus.slaves[0].name: every slave needs its own name",
      "modbus.slaves[1].unit: is taken by devices[0].modbus.slaves[0].unit: a line has one slave of each address",
      "topic: lacks {slave}: messages of several slaves could not be told apart",
    ]);
    check("topic: 'a/{field}', modbus: { slaves: [S] }", []);
    check("topic: 'a/{slave}', decode: { type: json }", [
      'topic: has an unknown placeholder "{slave}", known here: {gateway}, {site}, {device} and {field}',
    ]);
  });

  it("has addresses that its line knows", () => {
    check("modbus: { slaves: [{ name: a, unit: 0, fields: [F] }] }", [
      "modbus.slaves[0].unit: must be from 1 to 247 with framing rtu: 0 is everyone",
    ]);
    check(
      "port: 'tcp://a:502', modbus: { framing: tcp, slaves: [{ name: a, unit: 255, fields: [F] }] }",
      [],
    );
    check("modbus: { framing: tcp, silenceMs: 3, slaves: [S] }", [
      "modbus.framing: is tcp on a serial port: choose rtu",
      "modbus.silenceMs: does not belong to framing tcp, only to rtu",
    ]);
    check("silenceSeconds: 5, modbus: { slaves: [S] }", [
      "silenceSeconds: does not belong to Modbus: a line is online while a slave answers",
    ]);
    check("modbus: { silentFirstMs: 20, silentMaxMs: 10, slaves: [S] }", [
      "modbus.silentFirstMs: must not be more than silentMaxMs (10 ms)",
    ]);
  });

  it("has fields whose keys belong together", () => {
    field("table: coil, scale: 0.1", ["scale: does not belong to a coil, which is a bit"]);
    field("bit: 16", ["bit: is beyond the 16 bits of uint16"]);
    field("bit: 3, type: float32", ["bit: does not belong to float32"]);
    field("bit: 3, scale: 2.5", [
      "bit: is there with enum, scale or shift: a bit is true or false",
    ]);
    field("scale: 2, enum: { '1': a }", [
      "enum: is there with scale or shift: words are for plain numbers",
    ]);
    field("enum: { on: a }", ['enum: has "on", which is no whole number']);
    field("register: 65535, type: uint32", [
      "register: leaves no room for the value: the last is 65535",
    ]);
    field("deadBand: 0.5", ["deadBand: does not belong to publish always, only to change"]);
    field("deadBand: 0.5, publish: change, scale: -1.5e-3", []);
    field("publish: change, deadBand: 1, bit: 0", [
      "deadBand: does not belong to bits and words: only numbers differ by more or less",
    ]);
    field("scale: 0", ["scale: must not be 0: every value would be the same"]);
    field("enum: { '65536': a }", ['enum: has "65536", which no uint16 can be']);
    field("type: int8, enum: { '-129': a, '-128': b }", ['enum: has "-129", which no int8 can be']);
    field("table: coil, type: float32, wordOrder: little, byteOrder: little, enum: { '2': a }", [
      "type: does not belong to a coil, which is a bit",
      "wordOrder: does not belong to a coil, which is a bit",
      "byteOrder: does not belong to a coil, which is a bit",
      'enum: has "2", and a bit is 0 or 1',
    ]);
    field("scale: much", ["scale: must be a number"]);
    field("deadBand: -1, publish: change", ["deadBand: must be a number of at least 0, not -1"]);
  });
});

describe("a device", () => {
  it("has a port by its whole path, which no other has in other words", () => {
    check("port: ttyUSB0", [
      "port: must be a whole path, such as /dev/ttyUSB0, or tcp://host:port",
    ]);
    check("port: /dev/ttyS0 }, { name: e, port: /dev//./ttyS0", [
      "devices[1].port: is read by devices[0].port already: a serial port has one reader",
    ]);
  });

  it("has whole bytes where they are needed", () => {
    check("dataBits: 7, modbus: { slaves: [S] }", [
      "dataBits: must be 8: Modbus RTU needs whole bytes",
    ]);
    check("dataBits: 7, framing: { type: cobs }", [
      "dataBits: must be 8: framing cobs needs whole bytes",
    ]);
    check("dataBits: 7, framing: { type: fixed, length: 9, check: crc32 }", [
      "dataBits: must be 8: check crc32 needs whole bytes",
    ]);
    check("dataBits: 7, framing: { check: xor }", []);
  });

  it("has binary fields within its frames, and no more than it may have", () => {
    const fields = "fields: [{ field: a, at: 0 }, { field: b, at: 3, type: uint16 }]";
    const decode = `decode: { type: binary, ${fields} }`;
    check(`framing: { type: fixed, length: 5 }, ${decode}`, []);
    check(`framing: { type: fixed, length: 5, check: xor }, ${decode}`, [
      "decode.fields[1].at: is beyond the frame, whose content is at most 4 bytes long",
    ]);
    check(`framing: { type: cobs, bytesMax: 4 }, ${decode}`, [
      "decode.fields[1].at: is beyond the frame, whose content is at most 4 bytes long",
    ]);
    check(`framing: { type: cobs }, readingsMax: 1, ${decode}`, [
      "decode.fields: are 2, more than readingsMax (1): every frame would be refused",
    ]);
  });

  it("waits first for no longer than at most", () => {
    check("backoffFirstMs: 20, backoffMaxMs: 10", [
      "backoffFirstMs: must not be more than backoffMaxMs (10 ms)",
    ]);
  });
});

describe("a device that is looked for", () => {
  const among = "port: '/dev/ttyUSB*'";

  it("has a * in the last part of its port, and a probe with something to look for", () => {
    check(`${among}, probe: { contains: id=th-1 }`, []);
    check(`${among}, probe: { containsHex: '0007' }`, []);
    check(among, ["probe: is missing: `port` has a *, and only a probe tells which port is meant"]);
    const lacks = "probe: needs a `port` with a * in its last part, such as /dev/ttyUSB*";
    check("port: /dev/ttyUSB0, probe: { contains: a }", [lacks]);
    check("port: '/dev/*/tty0', probe: { contains: a }", [lacks]);
    const either = "probe: needs one of contains and containsHex";
    check(`${among}, probe: {}`, [either]);
    check(`${among}, probe: { contains: a, containsHex: '00' }`, [either]);
    check(`${among}, framing: { bytesMax: 2 }, probe: { contains: abc }`, [
      "probe: looks for more bytes than a frame may have (2)",
    ]);
    check(`${among}, probe: { containsHex: '007' }`, [
      "probe.containsHex: must be pairs of hexadecimal digits, one a byte, at most 64 bytes, in quotes",
    ]);
  });

  it("is found before its port is late, and speaks by itself", () => {
    check(`${among}, probe: { contains: a, listenMs: 10000 }`, [
      "probe.listenMs: must be less than openTimeoutMs (10000 ms)",
    ]);
    check(`${among}, probe: { contains: a }, topic: '{slave}', modbus: { slaves: [S] }`, [
      "probe: does not belong to Modbus, whose slaves say nothing by themselves: name the port by /dev/serial/by-path",
    ]);
  });

  it("may share its pattern with others, and not its probe", () => {
    check(`${among}, probe: { contains: a } }, { name: e, ${among}, probe: { contains: a }`, [
      "devices[1].probe: is the same as devices[0].probe: the devices could not be told apart",
    ]);
    const device = (name: string) => `{ name: ${name}, ${among}, probe: { contains: ${name} } }`;
    assert.equal(parseConfig(`devices: [${device("a")}, ${device("b")}]`, "f").devices.length, 2);
  });
});

function field(keys: string, expected: readonly string[]): void {
  const register = keys.includes("register") ? "" : "register: 0, ";
  check(
    `modbus: { slaves: [{ name: a, unit: 1, fields: [{ field: x, ${register}${keys} }] }] }`,
    expected.map((message) => `modbus.slaves[0].fields[0].${message}`),
  );
}

/** Checks a device with these keys; S is a slave, F a field. Compares `path: message` of each mistake. */
function check(keys: string, expected: readonly string[]): void {
  const filled = keys
    .replaceAll(/\bS\b/g, "{ name: a, unit: 1, fields: [F] }")
    .replaceAll(/\bF\b/g, "{ field: x, register: 0 }");
  const port = keys.includes("port:") ? "" : "port: /dev/ttyS0, ";
  let mistakes: readonly Mistake[] = [];
  try {
    parseConfig(`devices: [{ name: d, ${port}${filled} }]`, "f.yaml");
  } catch (error) {
    assert.ok(error instanceof FieldgateError);
    mistakes = error.details["mistakes"] as readonly Mistake[];
  }
  const said = mistakes.map(({ path, message }) =>
    `${path}: ${message}`.replace(/^devices\[0\]\./, ""),
  );
  assert.deepEqual(said.toSorted(), expected.toSorted());
}
