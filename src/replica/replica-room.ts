import { FieldgateError } from "../base/errors.ts";
import type { Log } from "../base/log.ts";
import type { ReplicationCounters } from "./counters.ts";
import type { CopiedJournal, Replicas } from "./ports.ts";
import { ORIGIN_CURSOR } from "./positions.ts";
import { Turns } from "./turns.ts";

export interface ReplicaRoomTools {
  readonly log: Log;
  readonly counters: ReplicationCounters;
  readonly replicas: Replicas;
  /** Whether a gateway is there whose journal it is. */
  readonly isInUse: (journal: string) => boolean;
  /** Resolves when nobody uses that replica any more. */
  readonly gone: (journal: string) => Promise<void>;
}

/**
 * Keeps the replicas within `replicasMax`: gateways that never return, and those that begin again with an empty store, leave one behind
 * each. For a new one that is given up whose gateway is away and which nobody needs; else one that is all in the cloud, though
 * sessions may still be in it. A message that the cloud does not have is never given up: then the new one is refused.
 */
export class ReplicaRoom {
  readonly #replicasMax: number;
  readonly #tools: ReplicaRoomTools;
  readonly #turns = new Turns();

  constructor(replicasMax: number, tools: ReplicaRoomTools) {
    this.#replicasMax = replicasMax;
    this.#tools = tools;
  }

  /**
   * The replica of that journal, made when it is not there.
   * @throws FieldgateError ERR_PEER_REPLICAS when there is no room for it, or what opening a store throws
   */
  open(journal: string): Promise<CopiedJournal> {
    return this.#turns.run(async () => {
      const { replicas } = this.#tools;
      const isThere = replicas.all().some(({ id }) => id === journal);
      if (!isThere && replicas.all().length >= this.#replicasMax) await this.#giveOneUp();
      return replicas.open(journal);
    });
  }

  async #giveOneUp(): Promise<void> {
    const { replicas, gone, log, counters } = this.#tools;
    const spare = spareReplica(replicas.all(), this.#tools.isInUse);
    if (spare === null) {
      counters.replicasRefused++;
      const replicasMax = this.#replicasMax;
      const message = `there is no room for another copy of a journal: cluster.peer.replicasMax is ${replicasMax}, and each has what the cloud does not have, or its gateway is there`;
      throw new FieldgateError("ERR_PEER_REPLICAS", message, { details: { replicasMax } });
    }
    const { id: journal, durableSeq } = spare;
    log.warn("a copy whose gateway is away is given up for a new one", { journal, durableSeq });
    await gone(journal);
    await replicas.remove(journal);
    counters.replicasRemoved++;
  }
}

/** The one that is missed least; null when each is needed. */
function spareReplica(
  replicas: readonly CopiedJournal[],
  isInUse: (journal: string) => boolean,
): CopiedJournal | null {
  const away = replicas.filter(({ id }) => !isInUse(id));
  const done = (one: CopiedJournal, ...except: readonly string[]) =>
    one.copies.neededSeq(...except) >= one.durableSeq;
  return away.find((one) => done(one)) ?? away.find((one) => done(one, ORIGIN_CURSOR)) ?? null;
}
