import type { CertifiedClient } from "./certified.ts";
import type { ListenerStatus } from "./net-listener.ts";
import type { OverloadStatus } from "./overload.ts";
import type { PersistentStatus } from "./session-ends.ts";
import type { ShareStatus } from "./share-group.ts";
import type { Talker } from "./talkers.ts";

/** What the broker looks like now. */
export interface BrokerStatus {
  readonly connections: number;
  /** Connections that are not read just now, because too much waits to be kept or to be sent. */
  readonly paused: number;
  /** How often one was not, since the start. */
  readonly pauses: number;
  /** Connections that are not read just now, because they publish faster than allowed. */
  readonly throttled: number;
  /** How often one was not, since the start. */
  readonly throttles: number;
  /** Clients that are gone and still owe for what they have published; how many of these were forgotten for want of room. */
  readonly ratesLeft: number;
  readonly ratesForgotten: number;
  readonly overload: OverloadStatus;
  /** Messages of QoS 1 and 2 that wait for room in the store, not acknowledged. */
  readonly held: number;
  readonly sessions: number;
  readonly persistent: PersistentStatus;
  readonly retained: number;
  readonly accepted: number;
  readonly acceptedDurable: number;
  readonly sent: number;
  readonly dropped: Readonly<Record<string, number>>;
  readonly closed: Readonly<Record<string, number>>;
  readonly shared: readonly ShareStatus[];
  readonly listeners: readonly ListenerStatus[];
  /** Clients that have shown a certificate, the first hundred of them. */
  readonly certified: readonly CertifiedClient[];
  /** Who publishes most, over the last seconds: the first five. */
  readonly talkers: readonly Talker[];
}
