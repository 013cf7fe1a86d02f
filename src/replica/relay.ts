import { errorFields, FieldgateError } from "../base/errors.ts";
import type { Log } from "../base/log.ts";
import type { ReplicationCounters } from "./counters.ts";
import { batchFrame, joinBlocks, relayFrame } from "./frames.ts";
import { BATCH_BYTES, PACK_BYTES_MIN } from "./limits.ts";
import type { Codec, CopiedJournal, StoredBlock } from "./ports.ts";
import type { Positions } from "./positions.ts";
import type { Teller, Told } from "./told.ts";

/** One that can be asked for what it has. */
export interface AskedTeller extends Teller {
  want(journal: string, afterSeq: number): void;
}

export interface RelayTools {
  readonly log: Log;
  readonly counters: ReplicationCounters;
  readonly told: Told<AskedTeller>;
  readonly ownJournal: () => string;
  /** Our copy of that journal, when there is one. */
  readonly copy: (journal: string) => CopiedJournal | undefined;
  /** Makes the copy. */
  readonly open: (journal: string, gateway: string) => Promise<CopiedJournal>;
}

interface Asked {
  readonly of: AskedTeller;
  /** Looks left before somebody is asked again. */
  patience: number;
}

/** So many looks an answer may take: with a look every 200 ms, 2 s. */
const PATIENCE = 10;

/**
 * What this gateway lacks of a journal whose origin is not connected to it, it asks of a peer that has more: so the next
 * primary has all that the dead one had acknowledged, whichever peer it was that had it.
 *
 *   told: a peer has more, and the origin is not here ──want──▶ asked ──blocks──▶ want the next ──none──▶ told
 *                                                                 └─ no answer, or the connection ended ──▲
 *
 * The one who lacks decides, and asks for one batch after the other: nobody keeps state for it.
 */
export class Relay {
  readonly #tools: RelayTools;
  readonly #asked = new Map<string, Asked>();

  constructor(tools: RelayTools) {
    this.#tools = tools;
  }

  ended(teller: AskedTeller): void {
    for (const [journal, { of }] of this.#asked) if (of === teller) this.#asked.delete(journal);
  }

  /** Asks for what is lacking. To be called now and then. */
  look(): void {
    for (const asked of this.#asked.values()) asked.patience--;
    const { latest } = this.#tools.told;
    const connected = new Set([...latest.keys()].map(({ journal }) => journal));
    for (const [teller, journals] of latest) {
      for (const positions of journals.values()) {
        const { journal } = positions;
        if (journal === this.#tools.ownJournal() || connected.has(journal)) continue;
        if ((this.#asked.get(journal)?.patience ?? 0) > 0 || !this.#isLacking(positions)) continue;
        this.#ask(teller, positions);
      }
    }
  }

  /** Blocks that were asked for. What is there already is left alone. */
  came(from: AskedTeller, journal: string, blocks: readonly Buffer[]): void {
    const copy = this.#tools.copy(journal);
    if (copy === undefined || this.#asked.get(journal)?.of !== from) return;
    this.#asked.delete(journal);
    if (!this.#take(copy, blocks)) return;
    this.#asked.set(journal, { of: from, patience: PATIENCE });
    from.want(journal, copy.lastSeq);
  }

  /** @returns whether there may be more, and there is room for it */
  #take(copy: CopiedJournal, blocks: readonly Buffer[]): boolean {
    const { counters } = this.#tools;
    try {
      for (const block of blocks) {
        const { isNews, missed } = copy.copies.take(block);
        if (isNews) counters.blocksRelayed++;
        counters.seqsMissed += missed;
      }
      return blocks.length > 0;
    } catch (error) {
      if (!(error instanceof FieldgateError) || error.code !== "ERR_STORE_FULL") throw error;
      // Asked for again by a later look.
      counters.replicaFull++;
      return false;
    }
  }

  /** A copy is made only for what somebody still needs. */
  #isLacking({ journal, haveSeq, cursors }: Positions): boolean {
    const copy = this.#tools.copy(journal);
    if (copy !== undefined) return copy.lastSeq < haveSeq;
    const places = Object.values(cursors);
    return places.length === 0 ? haveSeq > 0 : places.some(({ seq }) => seq < haveSeq);
  }

  #ask(of: AskedTeller, { journal, gateway, haveSeq }: Positions): void {
    const { open, log } = this.#tools;
    const asked = { of, patience: PATIENCE };
    this.#asked.set(journal, asked);
    open(journal, gateway).then(
      (copy) => {
        if (this.#asked.get(journal) !== asked) return;
        log.info("asks a peer for the rest of a journal whose gateway is away", {
          gateway,
          haveSeq: copy.lastSeq,
          peerHasSeq: haveSeq,
        });
        of.want(journal, copy.lastSeq);
      },
      (error) => log.error("a replica cannot be made", { gateway, ...errorFields(error) }),
    );
  }
}

/** The answer to a want: the next blocks of that journal, none when there are no more, or it is not here. */
export async function relayed(
  copy: CopiedJournal | undefined,
  journal: string,
  afterSeq: number,
  codec: Codec,
): Promise<Buffer> {
  const read = await copy?.copies.read(afterSeq, BATCH_BYTES);
  return relayFrame(journal, await packed(read?.entries ?? [], codec));
}

/** A batch of these, packed when that is worth it. */
async function packed(blocks: readonly StoredBlock[], codec: Codec): Promise<Buffer> {
  const raw = joinBlocks(blocks);
  const isPacked = raw.length >= PACK_BYTES_MIN;
  return batchFrame(isPacked, raw.length, isPacked ? await codec.pack(raw) : raw);
}
