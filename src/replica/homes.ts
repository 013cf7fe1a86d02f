import { errorFields } from "../base/errors.ts";
import type { Log } from "../base/log.ts";
import type { Rows } from "../base/rows.ts";
import { type Home, homeIn, homeRow } from "./copied-sessions.ts";
import type { ReplicationCounters } from "./counters.ts";
import type { Feed } from "./feed.ts";

export interface HomesTools {
  readonly log: Log;
  readonly counters: ReplicationCounters;
  readonly rows: () => Rows;
  readonly feeds: { all(): readonly Feed[] };
  readonly hears: (journal: string) => boolean;
  /** Whether a session of the client is here, or on its way. */
  readonly isInUse: (client: string) => boolean;
}

const SWEEP_EVERY_MS = 10_000;

/**
 * Of the sessions that are at this gateway, and of those that were and have ended here: the number of the last move, in rows (space
 * `home`) of which the other gateways have a copy. That of a session that has ended says to a gateway that was away that the
 * life which it still has of it is over. It is forgotten when all others are heard, and none of them has one; beyond `homesMax` the
 * oldest is forgotten all the same, and counted.
 */
export class Homes {
  readonly #homesMax: number;
  readonly #tools: HomesTools;
  readonly #homes = new Map<string, Home>();
  #sweptMs = Number.NEGATIVE_INFINITY;

  constructor(homesMax: number, tools: HomesTools) {
    this.#homesMax = homesMax;
    this.#tools = tools;
  }

  async load(): Promise<void> {
    for await (const [client, row] of this.#tools.rows().entries({})) {
      this.#homes.set(client, homeIn(row));
    }
  }

  /** As it was set last; the session may have ended since. */
  get(client: string): Home | undefined {
    return this.#homes.get(client);
  }

  /** Resolves when it is durable. */
  set(client: string, home: Home): Promise<void> {
    this.#homes.delete(client);
    this.#homes.set(client, home); // the newest is the last one
    return this.#tools.rows().put(client, homeRow(home));
  }

  forget(client: string): void {
    if (!this.#homes.delete(client)) return;
    const { log, rows } = this.#tools;
    const forgotten = rows().del(client);
    forgotten.catch((error) => log.warn("row not written", { client, ...errorFields(error) }));
  }

  /** To be called about once a second, once it is known what the others did while we were away. */
  sweep(nowMs: number): void {
    if (nowMs - this.#sweptMs < SWEEP_EVERY_MS) return;
    this.#sweptMs = nowMs;
    const { feeds, hears, isInUse, counters } = this.#tools;
    const others = feeds.all();
    const areAllHeard = others.every(({ journal }) => hears(journal.id));
    const ended = [...this.#homes.keys()].filter((client) => !isInUse(client));
    const needed = ended.filter((client) => {
      const hasLife = ({ sessions }: Feed) => sessions.home(client)?.gone === false;
      if (!areAllHeard || others.some(hasLife)) return true;
      this.forget(client);
      return false;
    });
    for (const client of needed.slice(0, Math.max(0, needed.length - this.#homesMax))) {
      this.forget(client);
      counters.homesForgotten++;
    }
  }
}
