import { NO_FAULTS } from "./faults.ts";
import type { NetworkFault, SensorSpec } from "./sensor.ts";

type KeyType = "string" | "number" | "boolean" | "object";

const COMMON: Readonly<Record<string, KeyType>> = {
  kind: "string",
  name: "string",
  intervalMs: "number",
  count: "number",
  powered: "boolean",
};
const SERIAL: Readonly<Record<string, KeyType>> = {
  ...COMMON,
  station: "number",
  baudRate: "number",
  bootMs: "number",
  transport: "string",
  faults: "object",
};
const KEYS: Readonly<Record<string, Readonly<Record<string, KeyType>>>> = {
  thermometer: SERIAL,
  "door-contact": SERIAL,
  vibration: SERIAL,
  "weather-station": SERIAL,
  "energy-meter": {
    kind: "string",
    name: "string",
    powered: "boolean",
    station: "number",
    units: "number",
    silent: "object",
    baudRate: "number",
    bootMs: "number",
    transport: "string",
    faults: "object",
  },
  mqtt: {
    ...COMMON,
    bootMs: "number",
    faults: "object",
    host: "string",
    port: "number",
    topic: "string",
    windowMax: "number",
    outboxMax: "number",
    keepAliveSeconds: "number",
    backoffFirstMs: "number",
  },
};
/** TCP carries no noise, loses no bytes, and knows no rate. */
const NETWORK_FAULTS: readonly NetworkFault[] = [
  "half",
  "stuck",
  "stuckMs",
  "brownOut",
  "hang",
  "watchdogMs",
  "rebootLoop",
  "disconnect",
  "outageMs",
  "driftPpm",
];
const NEEDED: Readonly<Record<string, readonly string[]>> = { mqtt: ["name", "port"] };

/** The sensors of a fleet file: a JSON list, or an object with `sensors`. Throws with the place of the first mistake. */
export function fleetOf(text: string, fileName: string): SensorSpec[] {
  const file: unknown = JSON.parse(text);
  const list = typeof file === "object" && file !== null && "sensors" in file ? file.sensors : file;
  if (!Array.isArray(list)) throw new Error(`${fileName}: a fleet is a list of sensors`);
  return list.map((entry: unknown, i) => specOf(entry, `${fileName}: sensor ${i + 1}`));
}

function specOf(entry: unknown, where: string): SensorSpec {
  if (typeof entry !== "object" || entry === null) throw new Error(`${where} is not an object`);
  const spec = entry as Record<string, unknown>;
  const kind = String(spec["kind"]);
  const keys = Object.hasOwn(KEYS, kind) ? KEYS[kind] : undefined;
  if (keys === undefined)
    throw new Error(`${where}: kind ${kind} is none of ${Object.keys(KEYS).join(", ")}`);
  for (const [key, value] of Object.entries(spec)) {
    if (!Object.hasOwn(keys, key)) throw new Error(`${where}: a ${kind} has no key ${key}`);
    if (typeof value !== keys[key]) throw new Error(`${where}: ${key} must be a ${keys[key]}`);
  }
  checkFaults(kind, spec["faults"], where);
  for (const key of NEEDED[kind] ?? ["name"]) {
    if (!(key in spec)) throw new Error(`${where}: ${key} is missing`);
  }
  return spec as unknown as SensorSpec;
}

function checkFaults(kind: string, faults: unknown, where: string): void {
  const known: readonly string[] = kind === "mqtt" ? NETWORK_FAULTS : Object.keys(NO_FAULTS);
  for (const [fault, value] of Object.entries(faults ?? {})) {
    if (!known.includes(fault)) throw new Error(`${where}: a ${kind} has no fault ${fault}`);
    if (typeof value !== "number" || value < 0) {
      throw new Error(`${where}: faults.${fault} must be a number from 0`);
    }
  }
}
