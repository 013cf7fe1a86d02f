import { crc32 } from "node:zlib";
import type { FramingConfig } from "../config/schema.ts";
import {
  type CrcRule,
  type RunningCheck,
  runningCrc,
  runningSum,
  runningXor,
} from "./running-check.ts";

/** A value computed from a frame's bytes and sent behind them. Parameters and check values: docs/frame.md. */
export interface Check {
  readonly bytes: 1 | 2 | 4;
  /** Order of the value's bytes where it is sent in binary. */
  readonly endian: "big" | "little";
  /** The value for bytes[start] to bytes[end - 1]. */
  readonly compute: (bytes: Uint8Array, start: number, end: number) => number;
  /** Whether it is right, for any piece of a stream that begins now. */
  readonly running: () => RunningCheck;
}

/** Reflected polynomial 0xA001: CRC-16/MODBUS. */
const MODBUS: CrcRule = {
  bits: 16,
  polynomial: 0xa001,
  reflected: true,
  initial: 0xffff,
  final: 0,
};
const MODBUS_TABLE = crcTable((crc) => ((crc & 1) === 1 ? (crc >>> 1) ^ 0xa001 : crc >>> 1));
/** Polynomial 0x1021, most significant bit first: CRC-16/CCITT-FALSE, also called IBM-3740. 0x8408 is the same turned round. */
const CCITT: CrcRule = {
  bits: 16,
  polynomial: 0x8408,
  reflected: false,
  initial: 0xffff,
  final: 0,
};
const CCITT_TABLE = crcTable(
  (crc) => 0xffff & ((crc & 0x8000) !== 0 ? (crc << 1) ^ 0x1021 : crc << 1),
  8,
);
/** Reflected polynomial 0xEDB88320: CRC-32/ISO-HDLC, zlib's. */
const CRC32: CrcRule = {
  bits: 32,
  polynomial: 0xedb88320,
  reflected: true,
  initial: 0xffffffff,
  final: 0xffffffff,
};

const CHECKS: Record<Exclude<FramingConfig["check"], "none">, Check> = {
  "crc16-modbus": {
    bytes: 2,
    endian: "little",
    compute: crc16Modbus,
    running: () => runningCrc(MODBUS),
  },
  "crc16-ccitt": {
    bytes: 2,
    endian: "big",
    compute: crc16CcittFalse,
    running: () => runningCrc(CCITT),
  },
  crc32: {
    bytes: 4,
    endian: "little",
    compute: (bytes, start, end) => crc32(bytes.subarray(start, end)),
    running: () => runningCrc(CRC32),
  },
  xor: { bytes: 1, endian: "big", compute: xor, running: runningXor },
  sum: { bytes: 1, endian: "big", compute: sum, running: runningSum },
};

/** The check of that name; null for none. */
export function checkNamed(name: FramingConfig["check"]): Check | null {
  return name === "none" ? null : CHECKS[name];
}

/** True when the last bytes of wire[start] to wire[end - 1] are the check value of those before, and there are some. */
export function hasBinaryCheck(
  check: Check | null,
  wire: Uint8Array,
  start: number,
  end: number,
): boolean {
  if (check === null) return true;
  const contentEnd = end - check.bytes;
  return (
    contentEnd > start &&
    check.compute(wire, start, contentEnd) === numberAt(wire, contentEnd, check.bytes, check.endian)
  );
}

/** A whole number without sign, of up to four bytes. */
export function numberAt(
  wire: Uint8Array,
  at: number,
  bytes: number,
  endian: "big" | "little",
): number {
  if (bytes === 1) return wire[at] ?? 0;
  const step = endian === "big" ? 1 : -1;
  const first = endian === "big" ? at : at + bytes - 1;
  let value = ((wire[first] ?? 0) << 8) | (wire[first + step] ?? 0);
  for (let i = 2; i < bytes; i++) value = (value << 8) | (wire[first + i * step] ?? 0);
  return value >>> 0;
}

/** Characters that `*` and a check value in hexadecimal take at the end of a text frame. */
export function textCheckBytes(check: Check | null): number {
  return check === null ? 0 : 1 + 2 * check.bytes;
}

/**
 * A copy of the bytes before `*` and the check value in hexadecimal digits, as NMEA 0183 writes it; null when it is
 * wrong, missing or nothing is before it. A binary value could hold the delimiter, so text frames do not carry one.
 */
export function stripTextCheck(check: Check | null, wire: Uint8Array): Uint8Array | null {
  if (check === null) return wire.slice();
  const length = wire.length - textCheckBytes(check);
  if (length < 1) return null;
  const digits = Buffer.from(wire.subarray(length)).toString("latin1");
  if (!/^\*[0-9A-Fa-f]+$/.test(digits)) return null;
  const value = Number.parseInt(digits.slice(1), 16);
  return check.compute(wire, 0, length) === value ? wire.slice(0, length) : null;
}

function crc16Modbus(bytes: Uint8Array, start: number, end: number): number {
  let crc = 0xffff;
  for (let i = start; i < end; i++) {
    crc = (crc >>> 8) ^ (MODBUS_TABLE[(crc ^ (bytes[i] ?? 0)) & 0xff] ?? 0);
  }
  return crc;
}

function crc16CcittFalse(bytes: Uint8Array, start: number, end: number): number {
  let crc = 0xffff;
  for (let i = start; i < end; i++) {
    crc = ((crc << 8) & 0xffff) ^ (CCITT_TABLE[(crc >>> 8) ^ (bytes[i] ?? 0)] ?? 0);
  }
  return crc;
}

function xor(bytes: Uint8Array, start: number, end: number): number {
  let value = 0;
  for (let i = start; i < end; i++) value ^= bytes[i] ?? 0;
  return value;
}

/** Modulo 256, not complemented. */
function sum(bytes: Uint8Array, start: number, end: number): number {
  let value = 0;
  for (let i = start; i < end; i++) value += bytes[i] ?? 0;
  return value & 0xff;
}

function crcTable(shift: (crc: number) => number, shiftedLeft = 0): Uint32Array {
  return Uint32Array.from({ length: 256 }, (_, byte) => {
    let crc = byte << shiftedLeft;
    for (let bit = 0; bit < 8; bit++) crc = shift(crc);
    return crc >>> 0;
  });
}
