import type { Message } from "../mqtt/message.ts";
import type { TopicTree } from "../mqtt/topic-tree.ts";
import type { Absences } from "./absences.ts";
import type { Principal } from "./access.ts";
import { type ClientStatus, clientsOf } from "./clients.ts";
import type { Connection } from "./connection.ts";
import type { Listener, Router } from "./router.ts";
import type { Session } from "./session.ts";
import type { Forgotten, SessionEnds } from "./session-ends.ts";
import { type Talker, Talkers } from "./talkers.ts";

export interface BrokerDeskTools {
  readonly sessions: {
    readonly all: Iterable<Session>;
    readonly absences: Pick<Absences, "of">;
    of(clientId: string): Session | null;
  };
  readonly ends: Pick<SessionEnds, "forget">;
  readonly connections: Iterable<Connection>;
  readonly router: Pick<Router<Session>, "tap">;
  /** By topic: what clients have had retained, and what the broker says of itself. */
  readonly retained: readonly Pick<TopicTree<Message>, "match">[];
  readonly nowMs: () => number;
}

/** What a technician may do at the broker: look at clients and messages, send a client away. */
export class BrokerDesk {
  readonly #tools: BrokerDeskTools;
  readonly #talkers = new Talkers();

  constructor(tools: BrokerDeskTools) {
    this.#tools = tools;
  }

  /** All sessions, connected or not. */
  clients(): readonly ClientStatus[] {
    const { sessions, connections, nowMs } = this.#tools;
    const { all, absences } = sessions;
    return clientsOf({ sessions: all, absences }, connections, this.#talkers.all, nowMs());
  }

  /** Whom a client was found to be, connected or not; null when there is no session of that id. */
  principalOf(clientId: string): Principal | null {
    return this.#tools.sessions.of(clientId)?.rights.principal ?? null;
  }

  /** Closes the connection of a client; its will is published. False when it is not connected. */
  kick(clientId: string): boolean {
    const link = this.#tools.sessions.of(clientId)?.link ?? null;
    link?.close("kicked");
    return link !== null;
  }

  /** As `SessionEnds.forget`. */
  forget(clientId: string, confirmed: boolean): Promise<Forgotten> {
    return this.#tools.ends.forget(clientId, confirmed);
  }

  /** Calls `found` for the retained message of each topic that the filter matches. */
  eachRetained(filter: string, found: (message: Message) => void): void {
    for (const tree of this.#tools.retained) tree.match(filter, found);
  }

  /** Tells `listener` of every message that the filter matches, once it is kept, until the returned function is called. */
  tap(filter: string, listener: Listener): () => void {
    return this.#tools.router.tap(filter, listener);
  }

  /** Who publishes most, over the last seconds. */
  get talkers(): readonly Talker[] {
    return this.#talkers.all.slice(0, TALKERS_SHOWN);
  }

  /** To be called about once a second. */
  watch(): void {
    this.#talkers.watch(this.#tools.nowMs(), this.#tools.connections);
  }
}

const TALKERS_SHOWN = 5;
