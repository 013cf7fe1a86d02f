import type { ModbusFieldConfig } from "../../config/schema.ts";
import type { Value } from "./reading.ts";

export type ScalarType = ModbusFieldConfig["type"];

/** What a number of a frame or of registers means. */
export type Meaning = Pick<ModbusFieldConfig, "scale" | "shift" | "bit" | "enum">;

/** How many bytes a value of each type takes. */
export const SCALAR_BYTES: Readonly<Record<ScalarType, 1 | 2 | 4 | 8>> = {
  uint8: 1,
  int8: 1,
  uint16: 2,
  int16: 2,
  uint32: 4,
  int32: 4,
  uint64: 8,
  int64: 8,
  float32: 4,
  float64: 8,
};

/** The value of as many bytes as the type takes, the highest first, with its meaning. */
export function scalarValue(bytes: Uint8Array, type: ScalarType, meaning: Meaning): Value {
  const view = new DataView(bytes.buffer, bytes.byteOffset, SCALAR_BYTES[type]);
  const raw = READ[type](view);
  const { bit, enum: words, scale, shift } = meaning;
  if (bit !== undefined) return isSet(bytes, bit);
  const word = words?.[String(raw)];
  if (word !== undefined) return word;
  if (scale !== undefined || shift !== undefined) {
    return finite(rounded(Number(raw) * (scale ?? 1) + (shift ?? 0)));
  }
  if (typeof raw === "bigint") return exact(raw);
  return type === "float32" ? shortest(raw) : finite(raw);
}

const READ: Readonly<Record<ScalarType, (view: DataView) => number | bigint>> = {
  uint8: (view) => view.getUint8(0),
  int8: (view) => view.getInt8(0),
  uint16: (view) => view.getUint16(0),
  int16: (view) => view.getInt16(0),
  uint32: (view) => view.getUint32(0),
  int32: (view) => view.getInt32(0),
  uint64: (view) => view.getBigUint64(0),
  int64: (view) => view.getBigInt64(0),
  float32: (view) => view.getFloat32(0),
  float64: (view) => view.getFloat64(0),
};

/** Bit 0 is the lowest of the last byte. A bit beyond the value is not set. */
function isSet(bytes: Uint8Array, bit: number): boolean {
  const byte = bytes[bytes.length - 1 - Math.floor(bit / 8)] ?? 0;
  return ((byte >> (bit % 8)) & 1) === 1;
}

/** JSON knows no infinity, and many a meter says "no value" with NaN. */
function finite(value: number): number | null {
  return Number.isFinite(value) ? value : null;
}

/** 17 times 0.1 is 1.7: the last two digits of a double are noise of the multiplication. */
function rounded(value: number): number {
  return Number(value.toPrecision(15));
}

/** A number where JSON's readers keep every digit, else its digits as text. */
function exact(value: bigint): number | string {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : String(value);
}

/** The decimal number with the fewest digits that is this float32: 21.4, not 21.399999618530273. */
function shortest(value: number | bigint): number | null {
  const number = Number(value);
  if (!Number.isFinite(number)) return null;
  for (let digits = 6; digits < 9; digits++) {
    const candidate = Number(number.toPrecision(digits));
    if (Math.fround(candidate) === number) return candidate;
  }
  return Number(number.toPrecision(9));
}
