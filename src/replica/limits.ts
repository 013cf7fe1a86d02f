import type { ClusterConfig } from "../config/schema.ts";

/** Bounds of what replication holds and waits for, among the keys of `cluster.peer`; tests tighten them. */
export type PeerLimits = Pick<
  NonNullable<ClusterConfig["peer"]>,
  | "connectTimeoutMs"
  | "silenceMsMax"
  | "lagMsMax"
  | "backoffFirstMs"
  | "backoffMaxMs"
  | "windowBytesMax"
  | "frameBytesMax"
  | "backlogBytesMax"
  | "peersMax"
  | "replicasMax"
  | "tellEveryMs"
>;

/** A batch is not made larger than this, unless by one block. */
export const BATCH_BYTES = 256 * 1024;
/** Smaller ones are not worth it. */
export const PACK_BYTES_MIN = 512;
/** Reads ahead while less than this waits, and so much at a time. */
export const READ_BYTES = 2 ** 20;
