import { normalize } from "node:path/posix";
import { checkTopics, checkTopicsApart, hasNoFields } from "./check-device-topics.ts";
import { checkMeaning, checkModbus, VALUE_BITS } from "./check-modbus.ts";
import { checkTwice, conflict } from "./check-twice.ts";
import { endpointMistake } from "./endpoint.ts";
import { either } from "./expectation.ts";
import { type Finding, keyPath } from "./mistake.ts";
import { nearest } from "./nearest.ts";
import type { Config, DecodeConfig, DeviceConfig, FramingConfig } from "./schema.ts";

type FramingKey = "delimiter" | "length" | "prefixBytes" | "endian" | "offset";

/** The keys that belong to some types of framing only: those they need, and those they may have. */
const framingKeys: Readonly<
  Record<FramingConfig["type"], { needs: readonly FramingKey[]; takes: readonly FramingKey[] }>
> = {
  lines: { needs: [], takes: [] },
  delimiter: { needs: ["delimiter"], takes: [] },
  fixed: { needs: ["length"], takes: [] },
  "length-prefix": { needs: ["prefixBytes"], takes: ["endian", "offset"] },
  slip: { needs: [], takes: [] },
  cobs: { needs: [], takes: [] },
};

/** How many bytes a check value takes at the end of a binary frame. */
const checkBytes: Readonly<Record<FramingConfig["check"], number>> = {
  none: 0,
  "crc16-modbus": 2,
  "crc16-ccitt": 2,
  crc32: 4,
  xor: 1,
  sum: 1,
};

/** Names, ports, framing, decoding and topics of the devices. */
export function* checkDevices(config: Config): Generator<Finding> {
  const { devices } = config;
  yield* checkTwice(
    devices,
    (device) => device.name,
    (index) => `devices[${index}].name`,
    (first) => `is taken by ${first}: every device needs its own name`,
  );
  yield* checkTwice(
    devices,
    (device) =>
      device.port.includes("://") || device.port.includes("*") ? null : normalize(device.port),
    (index) => `devices[${index}].port`,
    (first) => `is read by ${first} already: a serial port has one reader`,
  );
  yield* checkTwice(
    devices,
    ({ port, probe }) => (probe ? JSON.stringify([port, probe.contains, probe.containsHex]) : null),
    (index) => `devices[${index}].probe`,
    (first) => `is the same as ${first}: the devices could not be told apart`,
  );
  for (const [index, device] of devices.entries()) {
    const path = `devices[${index}]`;
    yield* checkPort(device.port, `${path}.port`);
    yield* checkProbe(device, path);
    yield* checkFraming(device.framing, `${path}.framing`);
    yield* checkDataBits(device, path);
    yield* checkDecode(device.decode, `${path}.decode`);
    yield* checkBinary(device, `${path}.decode`);
    yield* checkReadings(device, path);
    yield* checkModbus(device, path);
    yield* checkBackoff(device, path);
    yield* checkTopics(device, path);
  }
  yield* checkTopicsApart(config);
}

function* checkBackoff({ backoffFirstMs, backoffMaxMs }: DeviceConfig, path: string) {
  if (backoffFirstMs <= backoffMaxMs) return;
  const message = `must not be more than backoffMaxMs (${backoffMaxMs} ms)`;
  yield conflict(`${path}.backoffFirstMs`, message, [`${path}.backoffMaxMs`]);
}

function* checkPort(port: string, path: string): Generator<Finding> {
  if (!port.includes("://")) {
    const message = "must be a whole path, such as /dev/ttyUSB0, or tcp://host:port";
    if (!port.startsWith("/")) yield { path, code: "pattern", message };
    return;
  }
  const message = port.startsWith("tcp://")
    ? (endpointMistake(port) ?? (new URL(port).port === "" ? "has no port: tcp://host:port" : null))
    : "must be a serial port such as /dev/ttyUSB0, or tcp://host:port";
  if (message !== null) yield { path, code: "pattern", message };
}

/** What is looked for, and among which ports. */
function* checkProbe(device: DeviceConfig, path: string): Generator<Finding> {
  const { port, probe, openTimeoutMs } = device;
  const isPattern = port.includes("*") && !port.includes("://");
  if (probe === undefined) {
    if (!isPattern) return;
    const message = "is missing: `port` has a *, and only a probe tells which port is meant";
    yield { path: `${path}.probe`, code: "missing", message, restsOn: [`${path}.port`] };
    return;
  }
  const at = `${path}.probe`;
  if (!isPattern || port.slice(0, port.lastIndexOf("/")).includes("*")) {
    yield conflict(at, "needs a `port` with a * in its last part, such as /dev/ttyUSB*", [
      `${path}.port`,
    ]);
  }
  if (device.modbus !== undefined) {
    const message = "does not belong to Modbus, whose slaves say nothing by themselves";
    yield conflict(at, `${message}: name the port by /dev/serial/by-path`, [`${path}.modbus`]);
  }
  if ((probe.contains === undefined) === (probe.containsHex === undefined)) {
    yield conflict(at, "needs one of contains and containsHex", [
      `${at}.contains`,
      `${at}.containsHex`,
    ]);
  }
  const soughtBytes =
    Buffer.byteLength(probe.contains ?? "") || (probe.containsHex ?? "").length / 2;
  if (soughtBytes > device.framing.bytesMax) {
    const message = `looks for more bytes than a frame may have (${device.framing.bytesMax})`;
    yield conflict(at, message, [`${path}.framing.bytesMax`]);
  }
  if (probe.listenMs >= openTimeoutMs) {
    const message = `must be less than openTimeoutMs (${openTimeoutMs} ms)`;
    yield conflict(`${at}.listenMs`, message, [`${path}.openTimeoutMs`]);
  }
}

function* checkFraming(framing: FramingConfig, path: string): Generator<Finding> {
  const { needs, takes } = framingKeys[framing.type];
  const rest = [`${path}.type`];
  for (const key of needs) {
    if (framing[key] !== undefined) continue;
    const message = `is missing: framing ${framing.type} needs it`;
    yield { path: `${path}.${key}`, code: "missing", message, restsOn: rest };
  }
  for (const key of ["delimiter", "length", "prefixBytes", "endian", "offset"] as const) {
    if (framing[key] === undefined || needs.includes(key) || takes.includes(key)) continue;
    const owner = Object.entries(framingKeys).find(([, keys]) =>
      [...keys.needs, ...keys.takes].includes(key),
    );
    const message = `does not belong to framing ${framing.type}, only to ${owner?.[0]}`;
    yield conflict(`${path}.${key}`, message, rest);
  }
  if (framing.type === "length-prefix" && framing.prefixBytes !== 1 && !framing.endian) {
    const message = "is missing: the order of more than one byte has to be said";
    const restsOn = [...rest, `${path}.prefixBytes`];
    yield { path: `${path}.endian`, code: "missing", message, restsOn };
  }
  if (framing.check !== "none" && /^(2a|3[0-9]|4[1-6])+$/i.test(framing.delimiter ?? "")) {
    const message = "can be part of a check value, which is * and hexadecimal digits";
    yield conflict(`${path}.delimiter`, message, [...rest, `${path}.check`]);
  }
  yield* checkLength(framing, path);
}

/** Of a fixed frame; its check value belongs to its length, and what it checks has at least one byte. */
function* checkLength(framing: FramingConfig, path: string): Generator<Finding> {
  const { type, length, bytesMax, check } = framing;
  if (type !== "fixed" || length === undefined) return;
  const restsOn = [`${path}.type`, `${path}.check`, `${path}.bytesMax`];
  const contentBytes = length - checkBytes[check];
  if (contentBytes < 1) {
    const message = `leaves no byte beside the check value, which takes ${checkBytes[check]}`;
    yield conflict(`${path}.length`, message, restsOn);
  }
  if (contentBytes > bytesMax) {
    const message = `must not be more than bytesMax (${bytesMax}): every frame would be refused`;
    yield conflict(`${path}.length`, message, restsOn);
  }
}

function* checkDecode(decode: DecodeConfig, path: string): Generator<Finding> {
  const { type, columns, units } = decode;
  const rest = [`${path}.type`];
  if (type === "csv" && !columns) {
    const message = "is missing: decode csv needs the names of the columns";
    yield { path: `${path}.columns`, code: "missing", message, restsOn: rest };
  }
  if (type !== "csv" && columns) {
    yield conflict(`${path}.columns`, `does not belong to decode ${type}, only to csv`, rest);
  }
  yield* checkTwice(
    columns ?? [],
    (column) => column,
    (index) => `${path}.columns[${index}]`,
    (first) => `is the same as ${first}: the fields could not be told apart`,
  );
  const whyNot = whyNoUnits(decode);
  if (units && whyNot !== null) {
    const message = `does not belong to decode ${type}, ${whyNot}`;
    yield conflict(`${path}.units`, message, rest);
  }
  for (const field of type === "csv" && columns ? Object.keys(units ?? {}) : []) {
    if (columns?.includes(field)) continue;
    const likely = nearest(field, columns ?? []);
    const hint = likely === null ? either(columns ?? [], "and") : `did you mean "${likely}"?`;
    const at = keyPath(`${path}.units`, field);
    yield conflict(at, `is not one of the columns: ${hint}`, [...rest, `${path}.columns`]);
  }
}

function* checkBinary({ decode, framing }: DeviceConfig, path: string): Generator<Finding> {
  const { type, fields } = decode;
  const at = `${path}.fields`;
  const rest = [`${path}.type`];
  if (type === "binary" && !fields) {
    const message = "is missing: decode binary needs its fields";
    yield { path: at, code: "missing", message, restsOn: rest };
  }
  if (type !== "binary" && fields) {
    yield conflict(at, `does not belong to decode ${type}, only to binary`, rest);
  }
  if (type === "binary" && framing.type === "lines") {
    const message = "is binary in lines, which end where a byte is 0A: choose another framing";
    yield conflict(`${path}.type`, message, [`${path.replace(/decode$/, "framing")}.type`]);
  }
  yield* checkTwice(
    fields ?? [],
    ({ field }) => field,
    (index) => `${at}[${index}].field`,
    (first) => `is the same as ${first}: the fields could not be told apart`,
  );
  for (const [index, field] of (fields ?? []).entries()) {
    yield* checkMeaning(field, `${at}[${index}]`);
    const endBytes = field.at + VALUE_BITS[field.type] / 8;
    if (endBytes <= contentBytesMax(framing)) continue;
    const message = `is beyond the frame, whose content is at most ${contentBytesMax(framing)} bytes long`;
    const restsOn = [
      `${at}[${index}].type`,
      ...["type", "length", "check", "bytesMax"].map(
        (key) => `${path.replace(/decode$/, "framing")}.${key}`,
      ),
    ];
    yield conflict(`${at}[${index}].at`, message, restsOn);
  }
}

function contentBytesMax({ type, length, check, bytesMax }: FramingConfig): number {
  return type === "fixed" && length !== undefined ? length - checkBytes[check] : bytesMax;
}

/** Every frame would be refused that has more readings than may be. */
function* checkReadings({ decode, readingsMax }: DeviceConfig, path: string): Generator<Finding> {
  for (const key of ["columns", "fields"] as const) {
    const count = decode[key]?.length ?? 0;
    if (count <= readingsMax) continue;
    const message = `are ${count}, more than readingsMax (${readingsMax}): every frame would be refused`;
    yield conflict(`${path}.decode.${key}`, message, [`${path}.readingsMax`]);
  }
}

/** What needs bytes of eight bits. */
function* checkDataBits(
  { dataBits, framing, modbus, port }: DeviceConfig,
  path: string,
): Generator<Finding> {
  if (dataBits === 8 || port.includes("://")) return;
  const { type, check } = framing;
  const isText = type === "lines" || type === "delimiter";
  const why =
    modbus !== undefined
      ? "Modbus RTU"
      : type === "slip" || type === "cobs"
        ? `framing ${type}`
        : check !== "none" && !isText
          ? `check ${check}`
          : null;
  if (why === null) return;
  yield conflict(`${path}.dataBits`, `must be 8: ${why} needs whole bytes`, [
    `${path}.framing.type`,
  ]);
}

function whyNoUnits(decode: DecodeConfig): string | null {
  if (decode.type === "binary") return "whose fields have their own";
  return hasNoFields(decode) ? "which has no fields" : null;
}
