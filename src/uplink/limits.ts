import type { UplinkConfig } from "../config/schema.ts";

/** Bounds of what the uplink holds, among the configuration's keys; tests tighten them. */
export type UplinkLimits = Pick<
  UplinkConfig,
  "inflightBytesMax" | "readMessagesMax" | "readBytesMax" | "readRetryMs" | "drainMsMax"
> & {
  /** Guaranteed shares of alarm, telemetry and bulk (turn.ts). */
  readonly shares: readonly [number, number, number];
};

export function limitsOf(options: UplinkConfig): UplinkLimits {
  const { alarm, telemetry, bulk } = options.lanes;
  const share = ({ sharePercent }: { readonly sharePercent: number }) => sharePercent / 100;
  return { ...options, shares: [share(alarm), share(telemetry), share(bulk)] };
}
