import type { DeviceConfig } from "../../src/config/schema.ts";
import type { Device } from "../../src/devices/device.ts";

/** A gateway's side of each board of firmware-sim; docs/devices.md has the same. */
export const BOARDS: Readonly<Record<string, Pick<DeviceConfig, "framing" | "decode">>> = {
  thermometer: {
    framing: { type: "lines", bytesMax: 1024, timeoutMs: 100, check: "none" },
    decode: { type: "text" },
  },
  "door-contact": {
    framing: { type: "lines", bytesMax: 1024, timeoutMs: 1000, check: "crc16-ccitt" },
    decode: { type: "key-value", units: { battery: "V" } },
  },
  vibration: {
    framing: { type: "cobs", bytesMax: 256, timeoutMs: 1000, check: "crc16-ccitt" },
    decode: { type: "raw" },
  },
  "weather-station": {
    framing: { type: "lines", bytesMax: 128, timeoutMs: 100, check: "none" },
    decode: { type: "nmea" },
  },
};

/** The bounds of the configuration, at their defaults. */
export const BOUNDS = {
  inflightMax: 64,
  readingsMax: 256,
  openTimeoutMs: 10_000,
  backoffFirstMs: 500,
  backoffMaxMs: 10_000,
  stableMs: 10_000,
  statusTopic: "devices/{gateway}/{device}/status",
  statusSeconds: 60,
  silenceSeconds: 0,
  commandDeadlineMs: 10_000,
  commandsMax: 32,
  commandIdsMax: 256,
  writeTimeoutMs: 5000,
  shared: false,
} satisfies Partial<DeviceConfig>;

/** Station, number and 32 samples. */
export const VIBRATION_BYTES = 70;

/** A device that reads that board. */
export function boardDevice(
  kind: string,
  name: string,
  port: string,
  baudRate = 460_800,
): DeviceConfig {
  const board = BOARDS[kind];
  if (board === undefined) throw new Error(`no board is a ${kind}`);
  return {
    name,
    port,
    baudRate,
    dataBits: 8,
    parity: "none",
    stopBits: 1,
    ...board,
    // A simulator that the machine keeps waiting falls silent in the middle of a frame: that is not what is tested here.
    framing: { ...board.framing, timeoutMs: 20_000 },
    topic: "devices/{gateway}/{device}",
    qos: 1,
    retain: false,
    ...BOUNDS,
  };
}

/** The running number within a payload; null where noise left none. */
export function numberOf(kind: string, payload: Uint8Array): number | null {
  const bytes = Buffer.from(payload);
  if (kind === "vibration") return bytes.length === VIBRATION_BYTES ? bytes.readUInt32BE(2) : null;
  const found = /(?:^|["\s])n[=":]+(\d+)/.exec(bytes.toString());
  return found === null ? null : Number(found[1]);
}

/** True when the device has heard nothing for a while. */
export function quiet(made: Device): () => boolean {
  let bytes = -1;
  let sinceMs = 0;
  return () => {
    const now = made.status().counters.bytes;
    if (now !== bytes) sinceMs = performance.now();
    bytes = now;
    return performance.now() - sinceMs > 500;
  };
}
