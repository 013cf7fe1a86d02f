/**
 * A recording: what happened on the lines of a field, and when. Text, a line of JSON each, so that it can be read, searched and cut
 * with any tool; docs/recording-format.md is its specification.
 *
 *   {"firmware-sim-recording":1,"seed":7,"sensors":[{"name":"th-1","kind":"thermometer","transport":"pty","baudRate":9600}]}
 *   [0,0,"plug"]
 *   [0,200134,"say","69643d74682d31"]
 *   {"entries":2,"crc32":"89abcdef"}
 */
const RECORDING_VERSION = 1;
/** A longer line is none of a recording. */
export const LINE_BYTES_MAX = 65_536;
/** More bytes at a time are several entries. */
export const ENTRY_BYTES_MAX = 16_384;
const SENSORS_MAX = 256;
/** It is part of a path: of the pseudo-terminal. */
const NAME = /^[^/\p{Cc}]{1,64}$/u;
const TRANSPORTS = ["pty", "tcp", "modbus-tcp", "mqtt"] as const;

/** What is needed of a sensor to have its bytes come from the same place again. */
export interface RecordedSensor {
  readonly name: string;
  readonly kind: string;
  readonly transport: (typeof TRANSPORTS)[number];
  /** Of the line, for whoever configures a gateway; a recording keeps the time of its bytes itself. */
  readonly baudRate?: number;
  /** Where an MQTT sensor connected to. */
  readonly host?: string;
  readonly port?: number;
}

export interface RecordingHeader {
  readonly seed: number;
  readonly sensors: readonly RecordedSensor[];
}

/** plug, pull: the cable, or the connection, came and went. say: the sensor's bytes. hear: those of the far end. */
export type Happening = "plug" | "pull" | "say" | "hear";

export interface Entry {
  /** Place in the header's list. */
  readonly sensor: number;
  /** Microseconds since the recording began; never less than those of the entry before. */
  readonly atUs: number;
  readonly what: Happening;
  readonly bytes: Uint8Array;
}

export interface RecordingEnd {
  readonly entries: number;
  /** Of all bytes before this line, in hexadecimal digits. */
  readonly crc32: string;
}

export type RecordingCode =
  | "ERR_RECORDING_FOREIGN"
  | "ERR_RECORDING_VERSION"
  | "ERR_RECORDING_TRUNCATED"
  | "ERR_RECORDING_DAMAGED"
  | "ERR_RECORDING_WRITE";

/** A recording that cannot be used, or written; docs/recording-format.md has the codes. */
export class RecordingError extends Error {
  readonly code: RecordingCode;

  constructor(code: RecordingCode, message: string, options?: ErrorOptions) {
    super(`${message} (${code})`, options);
    this.code = code;
  }
}

/** Does it answer questions, so that what it says depends on what it hears? */
export function isAsked({ kind }: RecordedSensor): boolean {
  return kind === "energy-meter";
}

export function headerLine({ seed, sensors }: RecordingHeader): string {
  return `${JSON.stringify({ "firmware-sim-recording": RECORDING_VERSION, seed, sensors })}\n`;
}

export function entryLine({ sensor, atUs, what, bytes }: Entry): string {
  const said = bytes.length === 0 ? "" : `,"${Buffer.from(bytes).toString("hex")}"`;
  return `[${sensor},${atUs},"${what}"${said}]\n`;
}

export function endLine({ entries, crc32 }: RecordingEnd): string {
  return `${JSON.stringify({ entries, crc32 })}\n`;
}

/** The first line. ERR_RECORDING_FOREIGN, ERR_RECORDING_VERSION or ERR_RECORDING_DAMAGED. */
export function parseHeader(line: string, path: string): RecordingHeader {
  const said = objectOf(line);
  const version = said?.["firmware-sim-recording"];
  if (said === null || typeof version !== "number") {
    throw new RecordingError("ERR_RECORDING_FOREIGN", `${path} is no recording of firmware-sim`);
  }
  if (version !== RECORDING_VERSION) {
    const what = `${path} is a recording of version ${version}, known is ${RECORDING_VERSION}`;
    throw new RecordingError("ERR_RECORDING_VERSION", what);
  }
  const { seed, sensors } = said;
  const isRight =
    Number.isSafeInteger(seed) &&
    Array.isArray(sensors) &&
    sensors.length <= SENSORS_MAX &&
    sensors.every(isSensor);
  if (!isRight) throw damaged(path, 1);
  return { seed: Number(seed), sensors };
}

/** Null for a line that is none. */
export function parseEntry(line: string, sensors: number): Entry | null {
  const match =
    /^\[(\d{1,3}),(\d{1,15}),"(?:(plug|pull)"|(say|hear)","((?:[0-9a-f]{2})+)")\]$/.exec(line);
  if (match === null) return null;
  const [, index, at, moved, spoke, hex = ""] = match;
  const sensor = Number(index);
  if (sensor >= sensors || hex.length > 2 * ENTRY_BYTES_MAX) return null;
  const what = (moved ?? spoke) as Happening;
  return { sensor, atUs: Number(at), what, bytes: Buffer.from(hex, "hex") };
}

/** Null for a line that is no end. */
export function parseEnd(line: string): RecordingEnd | null {
  const { entries, crc32 } = objectOf(line) ?? {};
  const isEnd = Number.isSafeInteger(entries) && /^[0-9a-f]{8}$/.test(String(crc32));
  return isEnd ? { entries: Number(entries), crc32: String(crc32) } : null;
}

export function damaged(path: string, line: number): RecordingError {
  return new RecordingError("ERR_RECORDING_DAMAGED", `${path} is damaged in line ${line}`);
}

function isSensor(sensor: unknown): sensor is RecordedSensor {
  if (typeof sensor !== "object" || sensor === null) return false;
  const { name, kind, transport, host = "", port = 1 } = sensor as Record<string, unknown>;
  return (
    typeof name === "string" &&
    NAME.test(name) &&
    typeof kind === "string" &&
    TRANSPORTS.some((known) => known === transport) &&
    typeof host === "string" &&
    Number.isInteger(port)
  );
}

function objectOf(line: string): Readonly<Record<string, unknown>> | null {
  try {
    const value: unknown = JSON.parse(line);
    const isObject = typeof value === "object" && value !== null && !Array.isArray(value);
    return isObject ? (value as Record<string, unknown>) : null;
  } catch {
    return null;
  }
}
