/** Bounds of the uplink beside those of UplinkConfig. */
export interface UplinkLimits {
  /** Bytes in flight over all lanes. One message always goes, however long. */
  readonly inflightBytesMax: number;
  /** Messages that a lane reads from the journal at once; it keeps up to two such batches. */
  readonly readMessagesMax: number;
  readonly readBytesMax: number;
  /** How long a failed read of the journal is left alone, in ms. */
  readonly readRetryMs: number;
  /** How long a stop waits for what is in flight, in ms. */
  readonly drainMsMax: number;
  /** Guaranteed shares of alarm, telemetry and bulk (turn.ts). */
  readonly shares: readonly [number, number, number];
}

export const UPLINK_LIMITS: UplinkLimits = {
  inflightBytesMax: 4 * 2 ** 20,
  readMessagesMax: 1024,
  readBytesMax: 2 ** 20,
  readRetryMs: 1000,
  drainMsMax: 2000,
  shares: [0, 1 / 4, 1 / 16],
};
