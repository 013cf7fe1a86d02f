import { FieldgateError } from "./base/errors.ts";
import { Feed } from "./control/feed.ts";
import type { ControlQuestion } from "./control/protocol.ts";
import type { Device } from "./devices/device.ts";
import {
  isBits,
  readRequest,
  type Table,
  writeCoil,
  writeRegisters,
} from "./devices/modbus/pdu.ts";
import type { AttendedDevice, GatewayParts } from "./gateway-status.ts";

/** Bytes that were on a line together. */
export interface Traced {
  readonly wallMs: number;
  readonly way: "in" | "out";
  readonly base64: string;
}

/** What a Modbus slave said, and what it was asked: as bytes of the PDU, hexadecimal. */
export interface ModbusTold {
  readonly request: string;
  readonly result: "answer" | "refused" | "timeout" | "not sent";
  readonly reason: string | null;
  /** Of a read. */
  readonly values: readonly number[];
}

const COUNT_MAX = { bits: 2000, registers: 125 };
const WRITE_MAX = 123;

/** `GET serial/trace?device=…`: what is on its line, in and out, for as long as the caller listens. */
export function trace(
  parts: GatewayParts,
  { query, signal }: ControlQuestion,
): AsyncIterable<unknown> {
  const device = deviceOf(parts, query.get("device"));
  const { feedMax: max, feedBytesMax: bytesMax } = parts.config.control;
  const bytesOf = ({ base64 }: Traced) => base64.length;
  const feed = new Feed<Traced>({ max, bytesMax, bytesOf }, signal);
  const stop = device.trace((way, bytes) => {
    const base64 = Buffer.from(bytes).toString("base64");
    feed.push({ wallMs: parts.clock.wallMs(), way, base64 });
  });
  signal.addEventListener("abort", stop, { once: true });
  return feed;
}

/** `POST modbus/read`: device, slave, table, register, count. */
export async function readModbus(
  parts: GatewayParts,
  { body }: ControlQuestion,
): Promise<ModbusTold> {
  const { table, slave = null } = body;
  if (table !== "coil" && table !== "discrete" && table !== "holding" && table !== "input") {
    throw new FieldgateError("ERR_USAGE", "a table is coil, discrete, holding or input");
  }
  const most = isBits(table) ? COUNT_MAX.bits : COUNT_MAX.registers;
  const register = wholeOf(body, "register", 0, 65_535);
  const count = wholeOf(body, "count", 1, Math.min(most, 65_536 - register));
  const device = deviceOf(parts, body["device"]);
  if (device.read === undefined) throw noModbus(body["device"]);
  const name = typeof slave === "string" ? slave : null;
  const told = await device.read({ slave: name, table, register, count });
  const request = hexOf(readRequest(table, register, count));
  if (told.is !== "answer") return { request, result: told.is, reason: told.reason, values: [] };
  const values = valuesOf(table, count, told.content);
  return { request, result: "answer", reason: null, values };
}

/** `POST modbus/write`: device, slave, register, and coil (true or false) or values; dryRun: only tells the bytes. */
export async function writeModbus(
  parts: GatewayParts,
  { body }: ControlQuestion,
): Promise<ModbusTold> {
  const { slave = null, coil, dryRun } = body;
  const register = wholeOf(body, "register", 0, 65_535);
  const { device, mayWrite } = attendedOf(parts, body["device"]);
  if (device.read === undefined) throw noModbus(body["device"]);
  const isCoil = typeof coil === "boolean";
  const values = isCoil ? [] : registersOf(body["values"]);
  const request = hexOf(isCoil ? writeCoil(register, coil) : writeRegisters(register, values));
  if (dryRun === true) return { request, result: "not sent", reason: null, values: [] };
  const name = typeof slave === "string" ? slave : null;
  const told = await device.write(
    isCoil
      ? { is: "coil", slave: name, register, on: coil }
      : { is: "registers", slave: name, register, values },
    () => (mayWrite() ? null : { is: "refused", reason: "not-primary" }),
  );
  if (told.is === "success") return { request, result: "answer", reason: null, values: [] };
  return { request, result: told.is, reason: told.reason, values: [] };
}

function deviceOf(parts: GatewayParts, name: unknown): Device {
  return attendedOf(parts, name).device;
}

function attendedOf({ attended }: GatewayParts, name: unknown): AttendedDevice {
  const found = attended.find(({ device }) => device.status().name === name);
  if (found !== undefined) return found;
  const known = attended.map(({ device }) => device.status().name).join(", ");
  const message = `there is no device ${name}${known === "" ? "" : `; there are ${known}`}`;
  throw new FieldgateError("ERR_NOT_THERE", message);
}

function noModbus(name: unknown): FieldgateError {
  return new FieldgateError("ERR_NOT_THERE", `device ${name} is no line of Modbus slaves`);
}

function wholeOf(body: ControlQuestion["body"], name: string, min: number, max: number): number {
  const value = body[name];
  if (Number.isInteger(value) && Number(value) >= min && Number(value) <= max) return Number(value);
  throw new FieldgateError("ERR_USAGE", `${name} wants a whole number from ${min} to ${max}`);
}

function registersOf(values: unknown): readonly number[] {
  const isRight =
    Array.isArray(values) &&
    values.length > 0 &&
    values.length <= WRITE_MAX &&
    values.every((value) => Number.isInteger(value) && value >= 0 && value <= 65_535);
  if (isRight) return values as number[];
  throw new FieldgateError("ERR_USAGE", `registers want 1 to ${WRITE_MAX} numbers up to 65535`);
}

function valuesOf(table: Table, count: number, content: Uint8Array): readonly number[] {
  return Array.from({ length: count }, (_, i) =>
    isBits(table)
      ? ((content[i >> 3] ?? 0) >> (i & 7)) & 1
      : ((content[2 * i] ?? 0) << 8) | (content[2 * i + 1] ?? 0),
  );
}

function hexOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}
