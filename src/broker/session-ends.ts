import { duration } from "../base/duration.ts";
import { FieldgateError } from "../base/errors.ts";
import type { Log } from "../base/log.ts";
import type { Counters } from "./counters.ts";
import type { ControlPersistence } from "./level-persistence.ts";
import type { Elsewhere } from "./ports.ts";
import type { Session } from "./session.ts";
import type { Sessions } from "./sessions.ts";
import type { ShareGroups } from "./share-groups.ts";

export interface EndLimits {
  /** A session whose client was away for so long ends. 0: none does. */
  readonly sessionExpiryHours: number;
  readonly sessionsMax: number;
}

/** The persistent sessions as a whole. */
export interface PersistentStatus {
  readonly sessions: number;
  /** Of them those whose client is not connected. */
  readonly away: number;
  /** It is time to look for those that nobody needs: soon there is no room for more. */
  readonly nearlyFull: boolean;
  readonly sessionsMax: number;
  /** 0: none ends by itself. */
  readonly sessionExpiryHours: number;
  /** Ended since the start: because their client was away for so long; by a technician. */
  readonly expired: number;
  readonly forgotten: number;
}

interface EndTools {
  readonly sessions: Sessions;
  readonly shares: ShareGroups;
  readonly persistence: ControlPersistence;
  readonly counters: Counters;
  readonly log: Log;
  readonly elsewhere?: Elsewhere;
  /** Whether the client is connected, or just coming in. */
  readonly isHere: (clientId: string) => boolean;
}

/** What became of a session that was to be forgotten. */
export interface Forgotten {
  readonly id: string;
  /** False: messages wait for it, and nobody has confirmed that they may go. */
  readonly forgotten: boolean;
  /** Messages that went with it, or would. */
  readonly messages: number;
}

const SAID = { expired: "a session has expired", forgotten: "a session was forgotten" } as const;
const HOUR_MS = 3_600_000;
/** After a start clients come back first. */
const GRACE_MS = 600_000;
const ENDED_AT_ONCE = 100;
const NEARLY_FULL_SHARE = 0.9;

/** Ends persistent sessions whose clients are away: those that are over, and those that a technician names. */
export class SessionEnds {
  readonly #limits: EndLimits;
  readonly #expiryMs: number;
  readonly #tools: EndTools;

  constructor(limits: EndLimits, tools: EndTools) {
    this.#limits = limits;
    this.#expiryMs = limits.sessionExpiryHours * HOUR_MS;
    this.#tools = tools;
  }

  /** To be called about once a second. */
  watch(): void {
    const { absences, all } = this.#tools.sessions;
    if (this.#expiryMs === 0 || absences.upMs < GRACE_MS) return;
    let left = ENDED_AT_ONCE;
    for (const session of all) {
      const awayMs = absences.of(session.clientId)?.awayMs ?? 0;
      if (awayMs < this.#expiryMs || this.#tools.isHere(session.clientId)) continue;
      this.#end(session, "expired").catch((error) => this.#tools.sessions.failed(session, error));
      if (--left === 0) return;
    }
  }

  /**
   * Ends the session of a client that is not connected, with all that waits for it. Resolves when that is on the disk.
   * @param confirmed whether messages may be lost
   * @throws FieldgateError ERR_NOT_THERE, ERR_CLIENT_CONNECTED
   */
  async forget(clientId: string, confirmed: boolean): Promise<Forgotten> {
    const details = { id: clientId };
    const session = this.#tools.sessions.of(clientId);
    if (session === null) {
      const message = `there is no session of a client ${clientId} here`;
      throw new FieldgateError("ERR_NOT_THERE", message, { details });
    }
    if (!session.persistent || this.#tools.isHere(clientId)) {
      const message = `client ${clientId} is connected: its session is in use`;
      throw new FieldgateError("ERR_CLIENT_CONNECTED", message, { details });
    }
    const messages = this.#waitingFor(session);
    if (messages > 0 && !confirmed) return { id: clientId, forgotten: false, messages };
    await this.#end(session, "forgotten");
    return { id: clientId, forgotten: true, messages };
  }

  status(): PersistentStatus {
    const { sessions, counters } = this.#tools;
    const { sessionsMax, sessionExpiryHours } = this.#limits;
    const { persistentCount } = sessions;
    return {
      sessions: persistentCount,
      away: sessions.absences.count,
      nearlyFull: persistentCount >= NEARLY_FULL_SHARE * sessionsMax,
      ...{ sessionsMax, sessionExpiryHours },
      ...counters.sessionsEnded,
    };
  }

  #waitingFor(session: Session): number {
    return session.queued.messages + this.#tools.shares.endingWith(session);
  }

  async #end(session: Session, how: "expired" | "forgotten"): Promise<void> {
    const { sessions, persistence, counters, log, elsewhere } = this.#tools;
    const { clientId } = session;
    const { messages } = session.queued;
    const awayMs = sessions.absences.of(clientId)?.awayMs ?? 0;
    counters.sessionsEnded[how]++;
    counters.dropped(`session-${how}`, messages);
    log[messages > 0 ? "warn" : "info"](SAID[how], {
      clientId,
      away: duration(awayMs),
      dropped: messages,
    });
    elsewhere?.ended(clientId);
    await sessions.end(session, persistence);
  }
}
