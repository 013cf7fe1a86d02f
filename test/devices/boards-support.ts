import type { DeviceConfig } from "../../src/config/schema.ts";

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
