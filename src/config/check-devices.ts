import { checkMeaning, checkModbus } from "./check-modbus.ts";
import { checkTwice, conflict } from "./check-twice.ts";
import { endpointMistake } from "./endpoint.ts";
import { either } from "./expectation.ts";
import { type Finding, keyPath } from "./mistake.ts";
import { nearest } from "./nearest.ts";
import { checkTemplate, placeholdersIn } from "./placeholders.ts";
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
    (device) => (device.port.includes("://") || device.port.includes("*") ? null : device.port),
    (index) => `devices[${index}].port`,
    (first) => `is read by ${first} already: a serial port has one reader`,
  );
  for (const [index, device] of devices.entries()) {
    const path = `devices[${index}]`;
    yield* checkPort(device.port, `${path}.port`);
    yield* checkProbe(device, path);
    yield* checkFraming(device.framing, `${path}.framing`);
    yield* checkDecode(device.decode, `${path}.decode`);
    yield* checkBinary(device.decode, `${path}.decode`);
    yield* checkModbus(device, path);
    yield* checkTopic(device, path);
    yield* checkOwnTopics(device, path);
  }
  for (const key of ["statusTopic", "commandTopic"] as const) {
    yield* checkTwice(
      devices,
      (device) =>
        placeholdersIn(device[key] ?? "{device}").includes("device") ? null : (device[key] ?? null),
      (index) => `devices[${index}].${key}`,
      (first) => `is the same as ${first}: the devices could not be told apart`,
    );
  }
}

function* checkPort(port: string, path: string): Generator<Finding> {
  if (!port.includes("://")) return;
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

function* checkBinary({ type, fields }: DecodeConfig, path: string): Generator<Finding> {
  const at = `${path}.fields`;
  const rest = [`${path}.type`];
  if (type === "binary" && !fields) {
    const message = "is missing: decode binary needs its fields";
    yield { path: at, code: "missing", message, restsOn: rest };
  }
  if (type !== "binary" && fields) {
    yield conflict(at, `does not belong to decode ${type}, only to binary`, rest);
  }
  yield* checkTwice(
    fields ?? [],
    ({ field }) => field,
    (index) => `${at}[${index}].field`,
    (first) => `is the same as ${first}: the fields could not be told apart`,
  );
  for (const [index, field] of (fields ?? []).entries()) {
    yield* checkMeaning(field, `${at}[${index}]`);
  }
}

function* checkTopic(device: DeviceConfig, path: string): Generator<Finding> {
  const at = `${path}.topic`;
  const slave = device.modbus === undefined ? [] : ["slave"];
  yield* checkTemplate(device.topic, ["gateway", "site", "device", ...slave, "field"], at);
  if (device.topic.startsWith("$")) {
    yield {
      path: at,
      code: "topic",
      message: "begins with $, which is kept for the broker itself",
    };
  }
  if (
    placeholdersIn(device.topic).includes("field") &&
    !device.modbus &&
    hasNoFields(device.decode)
  ) {
    const message = `has {field}, but decode ${device.decode.type} has no fields`;
    yield conflict(at, message, [`${path}.decode.type`]);
  }
}

/** The topics of its status, of commands and of replies: no two alike, so that it never obeys itself. */
function* checkOwnTopics(device: DeviceConfig, path: string): Generator<Finding> {
  const keys = ["statusTopic", "commandTopic", "replyTopic"] as const;
  for (const key of keys) {
    const topic = device[key];
    if (topic === undefined) continue;
    yield* checkTemplate(topic, ["gateway", "site", "device"], `${path}.${key}`);
    if (topic.startsWith("$")) {
      const message = "begins with $, which is kept for the broker itself";
      yield { path: `${path}.${key}`, code: "topic", message };
    }
  }
  yield* checkTwice(
    [...keys, "topic"] as const,
    (key) => device[key] ?? null,
    (index) => `${path}.${[...keys, "topic"][index]}`,
    (first) => `is the same as ${first}`,
  );
  if (device.replyTopic !== undefined && device.commandTopic === undefined) {
    yield conflict(`${path}.replyTopic`, "is there without a commandTopic");
  }
}

function whyNoUnits(decode: DecodeConfig): string | null {
  if (decode.type === "binary") return "whose fields have their own";
  return hasNoFields(decode) ? "which has no fields" : null;
}

function hasNoFields(decode: DecodeConfig): boolean {
  return decode.type === "raw" || decode.type === "text";
}
