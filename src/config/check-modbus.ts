import { checkTwice, conflict } from "./check-twice.ts";
import type { Finding } from "./mistake.ts";
import { placeholdersIn } from "./placeholders.ts";
import type { DeviceConfig, ModbusConfig, ModbusFieldConfig, SlaveConfig } from "./schema.ts";

/** How many bits a value of each type takes. */
export const VALUE_BITS: Readonly<Record<ModbusFieldConfig["type"], number>> = {
  uint8: 8,
  int8: 8,
  uint16: 16,
  int16: 16,
  uint32: 32,
  int32: 32,
  uint64: 64,
  int64: 64,
  float32: 32,
  float64: 64,
};

/** A device that is a line of Modbus slaves: what must be told apart, and what does not belong together. */
export function* checkModbus(device: DeviceConfig, path: string): Generator<Finding> {
  const { modbus } = device;
  if (modbus === undefined) return;
  const at = `${path}.modbus`;
  if (
    device.framing.type !== "lines" ||
    device.framing.check !== "none" ||
    device.decode.type !== "raw"
  ) {
    yield conflict(at, "is there with a framing or decode: a Modbus device has neither");
  }
  if (device.silenceSeconds !== 0) {
    const message = "does not belong to Modbus: a line is online while a slave answers";
    yield conflict(`${path}.silenceSeconds`, message, [at]);
  }
  yield* checkLine(device, modbus, path);
  yield* checkTwice(
    modbus.slaves,
    ({ name }) => name,
    (index) => `${at}.slaves[${index}].name`,
    (first) => `is taken by ${first}: every slave needs its own name`,
  );
  yield* checkTwice(
    modbus.slaves,
    ({ unit }) => String(unit),
    (index) => `${at}.slaves[${index}].unit`,
    (first) => `is taken by ${first}: a line has one slave of each address`,
  );
  for (const [index, slave] of modbus.slaves.entries()) {
    yield* checkSlave(slave, modbus, `${at}.slaves[${index}]`);
  }
}

function* checkLine(device: DeviceConfig, modbus: ModbusConfig, path: string): Generator<Finding> {
  const { framing, slaves, silentFirstMs, silentMaxMs, silenceMs } = modbus;
  const at = `${path}.modbus`;
  if (framing === "tcp" && !device.port.includes("://")) {
    yield conflict(`${at}.framing`, "is tcp on a serial port: choose rtu", [`${path}.port`]);
  }
  if (framing === "tcp" && silenceMs !== undefined) {
    yield conflict(`${at}.silenceMs`, "does not belong to framing tcp, only to rtu");
  }
  if (silentFirstMs > silentMaxMs) {
    const message = `must not be more than silentMaxMs (${silentMaxMs} ms)`;
    yield conflict(`${at}.silentFirstMs`, message, [`${at}.silentMaxMs`]);
  }
  if (slaves.length > 1 && !placeholdersIn(device.topic).includes("slave")) {
    const message = "lacks {slave}: messages of several slaves could not be told apart";
    yield conflict(`${path}.topic`, message, [`${at}.slaves`]);
  }
}

function* checkSlave(slave: SlaveConfig, modbus: ModbusConfig, path: string): Generator<Finding> {
  if (modbus.framing === "rtu" && (slave.unit < 1 || slave.unit > 247)) {
    const message = "must be from 1 to 247 with framing rtu: 0 is everyone";
    yield conflict(`${path}.unit`, message, [`${path.replace(/\.slaves.*/, "")}.framing`]);
  }
  yield* checkTwice(
    slave.fields,
    ({ field }) => field,
    (index) => `${path}.fields[${index}].field`,
    (first) => `is the same as ${first}: the fields could not be told apart`,
  );
  for (const [index, field] of slave.fields.entries()) {
    yield* checkField(field, `${path}.fields[${index}]`);
  }
}

function* checkField(field: ModbusFieldConfig, path: string): Generator<Finding> {
  const isBit = field.table === "coil" || field.table === "discrete";
  const rest = [`${path}.table`, `${path}.type`];
  for (const key of ["scale", "shift", "bit"] as const) {
    if (isBit && field[key] !== undefined) {
      yield conflict(`${path}.${key}`, `does not belong to a ${field.table}, which is a bit`, rest);
    }
  }
  if (isBit) yield* checkBit(field, path);
  yield* checkMeaning(field, path);
  const registers = isBit ? 1 : Math.ceil(VALUE_BITS[field.type] / 16);
  if (field.register + registers > 65_536) {
    yield conflict(`${path}.register`, "leaves no room for the value: the last is 65535", rest);
  }
  if (field.deadBand !== undefined && field.publish !== "change") {
    const message = "does not belong to publish always, only to change";
    yield conflict(`${path}.deadBand`, message, [`${path}.publish`]);
  }
  if (field.deadBand !== undefined && (isBit || field.bit !== undefined || field.enum)) {
    const message = "does not belong to bits and words: only numbers differ by more or less";
    yield conflict(`${path}.deadBand`, message, rest);
  }
}

/** A coil or discrete input is no number, and has no bytes and words that could be in another order. */
function* checkBit(field: ModbusFieldConfig, path: string): Generator<Finding> {
  const plain = { type: "uint16", wordOrder: "big", byteOrder: "big" } as const;
  for (const key of ["type", "wordOrder", "byteOrder"] as const) {
    if (field[key] === plain[key]) continue;
    const message = `does not belong to a ${field.table}, which is a bit`;
    yield conflict(`${path}.${key}`, message, [`${path}.table`]);
  }
  for (const number of Object.keys(field.enum ?? {})) {
    if (/^[01]$/.test(number) || !WHOLE.test(number)) continue;
    yield conflict(`${path}.enum`, `has ${JSON.stringify(number)}, and a bit is 0 or 1`, [
      `${path}.table`,
    ]);
  }
}

/** What a number means, in registers and in a binary frame. */
export function* checkMeaning(
  field: Pick<ModbusFieldConfig, "type" | "bit" | "enum" | "scale" | "shift">,
  path: string,
): Generator<Finding> {
  const rest = [`${path}.type`];
  const bits = VALUE_BITS[field.type];
  const scaled = field.scale !== undefined || field.shift !== undefined;
  if (field.bit !== undefined && field.bit >= bits) {
    yield conflict(`${path}.bit`, `is beyond the ${bits} bits of ${field.type}`, rest);
  }
  if (field.bit !== undefined && field.type.startsWith("float")) {
    yield conflict(`${path}.bit`, `does not belong to ${field.type}`, rest);
  }
  if (field.bit !== undefined && (field.enum || scaled)) {
    yield conflict(`${path}.bit`, "is there with enum, scale or shift: a bit is true or false");
  } else if (field.enum && scaled) {
    yield conflict(`${path}.enum`, "is there with scale or shift: words are for plain numbers");
  }
  if (field.scale === 0) {
    yield conflict(`${path}.scale`, "must not be 0: every value would be the same");
  }
  const [lowest, highest] = rangeOf(field.type);
  for (const number of Object.keys(field.enum ?? {})) {
    const said = `has ${JSON.stringify(number)}`;
    if (!WHOLE.test(number)) yield conflict(`${path}.enum`, `${said}, which is no whole number`);
    else if (BigInt(number) < lowest || BigInt(number) > highest) {
      yield conflict(`${path}.enum`, `${said}, which no ${field.type} can be`, rest);
    }
  }
}

const WHOLE = /^(0|-?[1-9]\d*)$/;

/** The lowest and the highest whole number of a type; of floats, those that are exact. */
function rangeOf(type: ModbusFieldConfig["type"]): readonly [bigint, bigint] {
  if (type === "float32") return [-(2n ** 24n), 2n ** 24n];
  if (type === "float64") return [-(2n ** 53n), 2n ** 53n];
  const bits = BigInt(VALUE_BITS[type]);
  return type.startsWith("u")
    ? [0n, 2n ** bits - 1n]
    : [-(2n ** (bits - 1n)), 2n ** (bits - 1n) - 1n];
}
