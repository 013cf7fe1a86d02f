import type { UplinkConfig } from "../config/schema.ts";

/** Bounds of what the uplink holds, among the configuration's keys; tests tighten them. */
export type UplinkLimits = Pick<
  UplinkConfig,
  "inflightBytesMax" | "readMessagesMax" | "readBytesMax" | "readRetryMs" | "drainMsMax"
> & {
  /** Guaranteed shares of alarm, telemetry and bulk (turn.ts). */
  readonly shares: readonly [number, number, number];
};

export const SHARES: UplinkLimits["shares"] = [0, 1 / 4, 1 / 16];
