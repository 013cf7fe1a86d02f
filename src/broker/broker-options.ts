import type { Clock } from "../base/clock.ts";
import type { Log } from "../base/log.ts";
import type { Message } from "../mqtt/message.ts";
import type { Access } from "./access.ts";
import type { ArrivalLimits } from "./arrivals.ts";
import type { BackpressureLimits } from "./backpressure.ts";
import type { ListenerOptions } from "./net-listener.ts";
import type { TimeLimits } from "./overdue.ts";
import type { OverloadLimits } from "./overload.ts";
import type { BrokerJournal, Elsewhere } from "./ports.ts";
import type { RateOptions } from "./rates.ts";
import type { SessionLimits } from "./session-limits.ts";
import type { SharesOptions } from "./share-groups.ts";

export interface BrokerOptions
  extends SessionLimits,
    SharesOptions,
    ArrivalLimits,
    TimeLimits,
    BackpressureLimits,
    OverloadLimits,
    RateOptions {
  readonly listeners: readonly ListenerOptions[];
  readonly packetBytesMax: number;
  readonly connectBytesMax: number;
  readonly topicLevelsMax: number;
  readonly topicBytesMax: number;
  readonly connectionsPerUserMax: number;
  readonly sessionsPerUserMax: number;
  readonly retainedPerUserMax: number;
  readonly sharedPerSessionMax: number;
  readonly inboundInflightMax: number;
  readonly sessionsMax: number;
  readonly sessionExpiryHours: number;
  readonly waitingBytesMax: number;
  readonly subscriptionsMax: number;
  readonly retainedMax: number;
  readonly retainedBytesMax: number;
  readonly packetFiltersMax: number;
}

export interface BrokerTools {
  readonly clock: Clock;
  readonly log: Log;
  readonly journal: BrokerJournal;
  readonly access: Access;
  /** Whether the wall clock was ever set. */
  readonly wallIsSure: () => boolean;
  /** What the process has taken of the machine's memory. */
  readonly memoryBytes: () => number;
  /** The lane of the uplink that carries a topic, 0 for none. */
  readonly laneOf: (topic: string) => number;
  /** The other gateways of the site; absent where there are none. */
  readonly elsewhere?: Elsewhere;
  /** Passes messages of a topic that are not kept on to other gateways of the site; null when nobody there wants them. */
  readonly beyond?: (topic: string) => ((message: Message) => void) | null;
}
