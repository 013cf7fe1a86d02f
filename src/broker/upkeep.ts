import type { Clock } from "../base/clock.ts";
import type { Access } from "./access.ts";
import type { Backpressure } from "./backpressure.ts";
import type { BrokerDesk } from "./broker-desk.ts";
import type { Connection } from "./connection.ts";
import { Lookout } from "./lookout.ts";
import type { NetListener } from "./net-listener.ts";
import { overdue, type TimeLimits } from "./overdue.ts";
import type { Overload } from "./overload.ts";
import type { RetainedReplay } from "./retained-replay.ts";
import type { ShareGroups } from "./share-groups.ts";
import type { Throttle } from "./throttle.ts";

const WATCH_MS = 1000;

interface UpkeepParts {
  readonly clock: Clock;
  readonly access: Access;
  readonly overload: Overload;
  readonly throttle: Throttle<Connection>;
  readonly replay: RetainedReplay;
  readonly shares: ShareGroups;
  readonly sessions: { watch(): void };
  readonly ends: { watch(): void };
  readonly backpressure: Backpressure;
  readonly desk: BrokerDesk;
  readonly listeners: readonly NetListener[];
  readonly connections: ReadonlySet<Connection>;
}

/** What the broker does because time has passed, and not because somebody said something. */
export class Upkeep {
  readonly #limits: TimeLimits;
  readonly #parts: UpkeepParts;
  readonly #lookout: Lookout;
  #stopWatching: () => void = () => {};

  constructor(limits: TimeLimits, parts: UpkeepParts) {
    this.#limits = limits;
    this.#parts = parts;
    this.#lookout = new Lookout(parts.clock, (...times) => this.#look(...times));
  }

  start(): void {
    this.#lookout.start();
    this.#stopWatching = this.#parts.clock.every(WATCH_MS, () => this.#watch());
  }

  stop(): void {
    this.#lookout.stop();
    this.#stopWatching();
  }

  /** Something has come from somebody. For hot paths. */
  stir(): void {
    this.#lookout.stir();
  }

  /** Often, because what it looks after is felt within a second. */
  #look(nowMs: number, lateMs: number): boolean {
    const { overload, throttle, replay, listeners } = this.#parts;
    const isPressed = overload.look(lateMs);
    throttle.release(nowMs);
    replay.look();
    const shut = listeners.filter((listener) => !listener.reopen());
    return isPressed || shut.length > 0 || throttle.size > 0 || replay.isGoing;
  }

  /** Closes who is silent for too long, or takes too long over something. */
  #watch(): void {
    const { clock, access, listeners, connections, shares, sessions, ends, desk, backpressure } =
      this.#parts;
    const nowMs = clock.monotonicMs();
    for (const listener of listeners) listener.sweep();
    for (const connection of connections) {
      const reason = overdue(connection, nowMs, this.#limits);
      if (reason !== null) connection.close(reason);
      else if (access.hasEnded(connection.rights)) connection.close("token has ended");
    }
    shares.watch(nowMs);
    sessions.watch();
    ends.watch();
    desk.watch();
    backpressure.relax();
  }
}
