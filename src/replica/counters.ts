import type { ErrorCode } from "../base/errors.ts";

/** What replication counts since the start. Status shows it; nothing decides by it. */
export interface ReplicationCounters {
  batchesSent: number;
  /** Bytes of blocks sent, before and after they were packed. */
  bytesRaw: number;
  bytesSent: number;
  /** Blocks taken into replicas, and those that were there already. */
  blocksTaken: number;
  blocksKnown: number;
  /** Blocks of gateways that are away, from other peers. */
  blocksRelayed: number;
  /** Messages of peers that were given to those who are subscribed here, if anybody was. */
  messagesFed: number;
  /** Messages of QoS 0 that peers had subscribers for, and those given up because the peer could not take them. */
  liveSent: number;
  liveDropped: number;
  /** Sessions taken over from other gateways, and wills of their clients published because the gateway was lost. */
  sessionsMoved: number;
  willsPublished: number;
  /** Sessions that have ended here and of which that was forgotten, because there were more than `homesMax`. */
  homesForgotten: number;
  /** Seqs that a replica will never have: its origin had trimmed them. */
  seqsMissed: number;
  /** Times that a peer left the peers in sync. */
  syncLost: number;
  /** Cursors of peers given up, because they held back too much. */
  cursorsForgotten: number;
  /** Copies given up because there were more than `replicasMax`; copies refused, as none could be given up. */
  replicasRemoved: number;
  replicasRefused: number;
  /** Times that what is said of sessions was given up, and all had to be told again. */
  sessionLogsLost: number;
  /** Times that a replica was full. */
  replicaFull: number;
  /** Connections that ended or were refused, by reason. */
  readonly failures: Partial<Record<ErrorCode, number>>;
}

export function newCounters(): ReplicationCounters {
  return {
    batchesSent: 0,
    bytesRaw: 0,
    bytesSent: 0,
    blocksTaken: 0,
    blocksKnown: 0,
    blocksRelayed: 0,
    messagesFed: 0,
    liveSent: 0,
    liveDropped: 0,
    sessionsMoved: 0,
    willsPublished: 0,
    homesForgotten: 0,
    seqsMissed: 0,
    syncLost: 0,
    cursorsForgotten: 0,
    replicasRemoved: 0,
    replicasRefused: 0,
    sessionLogsLost: 0,
    replicaFull: 0,
    failures: {},
  };
}

export function countFailure(counters: ReplicationCounters, code: ErrorCode): void {
  counters.failures[code] = (counters.failures[code] ?? 0) + 1;
}
