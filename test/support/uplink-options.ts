import type { UplinkConfig } from "../../src/config/schema.ts";

/** A complete configuration of an uplink for tests, with short timings. */
export function uplinkOptions(changes: Partial<UplinkConfig> = {}): UplinkConfig {
  return {
    endpoints: ["mqtt://127.0.0.1:1"],
    endpointOrder: "list",
    breaker: { windowMs: 5000, failurePercent: 60, failuresMin: 3, openMs: 50 },
    rules: [
      { match: "alarm/#", lane: "alarm", remoteTopic: "cloud/{topic}", qos: 1 },
      { match: "bulk/#", lane: "bulk", remoteTopic: "cloud/{topic}", qos: 1 },
      { match: "twice/#", lane: "telemetry", remoteTopic: "cloud/{topic}", qos: 2 },
      { match: "plant/#", lane: "telemetry", remoteTopic: "cloud/{topic}", qos: 1 },
    ],
    limits: {},
    lanes: {
      alarm: { sharePercent: 0, whenFull: "reject-new" },
      telemetry: { sharePercent: 25, whenFull: "reject-new" },
      bulk: { sharePercent: 6, whenFull: "reject-new" },
    },
    timeZone: "UTC",
    gapRecords: true,
    gapTopic: "cloud/gap",
    whenRefused: "drop",
    deadLetterTopic: "cloud/refused",
    windowMax: 256,
    inflightBytesMax: 4 * 2 ** 20,
    envelope: "none",
    peekBytesMax: 2 ** 20,
    answerBytesMax: 64 * 1024,
    readMessagesMax: 1024,
    readBytesMax: 2 ** 20,
    readRetryMs: 1000,
    drainMsMax: 2000,
    acknowledgeTimeoutMs: 1000,
    connectTimeoutMs: 1000,
    keepaliveSeconds: 30,
    backoffFirstMs: 20,
    backoffMaxMs: 100,
    standbyConnected: true,
    stableMs: 60_000,
    ...changes,
  };
}
