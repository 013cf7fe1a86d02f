import type { ModbusConfig, ModbusFieldConfig, SlaveConfig } from "../../config/schema.ts";
import type { Reading } from "../decode/reading.ts";
import { SCALAR_BYTES, scalarValue } from "../decode/scalar.ts";
import { isBits, readRequest, type Table } from "./pdu.ts";

/** One request of the plan: neighbours of one table that are read as often as each other. */
export interface PlannedRead {
  readonly slave: SlaveConfig;
  readonly table: Table;
  readonly start: number;
  /** Registers, or bits. */
  readonly count: number;
  readonly intervalMs: number;
  readonly fields: readonly ModbusFieldConfig[];
  readonly pdu: Uint8Array;
}

const REGISTER_BITS = 16;

/** The fewest requests that read all fields of a slave within the bounds; a value is never torn apart. Pure. */
export function planReads(
  slave: SlaveConfig,
  bounds: Pick<ModbusConfig, "registersMax" | "gapMax">,
): PlannedRead[] {
  const groups = new Map<string, ModbusFieldConfig[]>();
  for (const field of slave.fields) {
    const key = `${field.table} ${intervalOf(slave, field)}`;
    groups.set(key, [...(groups.get(key) ?? []), field]);
  }
  return [...groups.values()].flatMap((fields) => joined(slave, fields, bounds));
}

/** What the answer's bytes say about each field of the request, in the order of the plan. */
export function readingsIn(read: PlannedRead, content: Uint8Array): Reading[] {
  return read.fields.map((field) => {
    const { field: name, unit } = field;
    const value = isBits(read.table)
      ? bitAt(content, field.register - read.start, field)
      : scalarValue(valueBytes(content, field, read.start), field.type, field);
    return unit === undefined ? { field: name, value } : { field: name, value, unit };
  });
}

/** Registers that a value takes; of a table of bits, one. */
function registersOf({ table, type }: ModbusFieldConfig): number {
  return isBits(table) ? 1 : Math.ceil(SCALAR_BYTES[type] / 2);
}

function joined(
  slave: SlaveConfig,
  fields: readonly ModbusFieldConfig[],
  { registersMax, gapMax }: Pick<ModbusConfig, "registersMax" | "gapMax">,
): PlannedRead[] {
  const reads: { start: number; end: number; fields: ModbusFieldConfig[] }[] = [];
  for (const field of fields.toSorted((a, b) => a.register - b.register)) {
    const countMax = isBits(field.table) ? registersMax * REGISTER_BITS : registersMax;
    const end = field.register + registersOf(field);
    const last = reads.at(-1);
    const fits = last && field.register - last.end <= gapMax && end - last.start <= countMax;
    if (fits) {
      last.end = Math.max(last.end, end);
      last.fields.push(field);
    } else reads.push({ start: field.register, end, fields: [field] });
  }
  return reads.map(({ start, end, fields: these }) => {
    const [first] = these as [ModbusFieldConfig];
    const count = end - start;
    const intervalMs = intervalOf(slave, first);
    const { table } = first;
    return {
      slave,
      table,
      start,
      count,
      intervalMs,
      fields: these,
      pdu: readRequest(table, start, count),
    };
  });
}

function intervalOf(slave: SlaveConfig, field: ModbusFieldConfig): number {
  return field.intervalMs ?? slave.intervalMs;
}

/** The bytes of a value, the highest first. */
function valueBytes(content: Uint8Array, field: ModbusFieldConfig, start: number): Uint8Array {
  const registers = registersOf(field);
  const from = 2 * (field.register - start);
  const bytes = new Uint8Array(2 * registers);
  for (let i = 0; i < registers; i++) {
    const at = from + 2 * (field.wordOrder === "big" ? i : registers - 1 - i);
    const [high, low] = field.byteOrder === "big" ? [at, at + 1] : [at + 1, at];
    bytes[2 * i] = content[high] ?? 0;
    bytes[2 * i + 1] = content[low] ?? 0;
  }
  return bytes.subarray(bytes.length - SCALAR_BYTES[field.type]);
}

function bitAt(content: Uint8Array, index: number, field: ModbusFieldConfig): boolean | string {
  const on = (((content[index >> 3] ?? 0) >> (index & 7)) & 1) === 1;
  return field.enum?.[on ? "1" : "0"] ?? on;
}
