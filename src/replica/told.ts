import type { CopiedJournal } from "./ports.ts";
import { applyPositions, type LanesByCursor, type Positions } from "./positions.ts";

/** A connection by which another gateway tells us what it has. */
export interface Teller {
  /** Of its own one; null before it has greeted. */
  readonly journal: string | null;
}

export interface ToldTools {
  /** Our own journal and all copies. */
  readonly journals: () => readonly CopiedJournal[];
  readonly lanes: LanesByCursor;
  /** Whether this gateway moves the cursors of the uplink itself. */
  readonly acts: () => boolean;
}

/** What those who are connected have told of how far journals are dealt with: applied at once, and again as copies get more. */
export class Told<T extends Teller> {
  readonly #tools: ToldTools;
  readonly #latest = new Map<T, Map<string, Positions>>();
  readonly #originSeqs = new Map<string, number>();

  constructor(tools: ToldTools) {
    this.#tools = tools;
  }

  /** By teller, the last of each journal. */
  get latest(): ReadonlyMap<T, ReadonlyMap<string, Positions>> {
    return this.#latest;
  }

  took(by: T, told: Positions): void {
    const known = this.#latest.get(by) ?? new Map<string, Positions>();
    this.#latest.set(by, known.set(told.journal, told));
    if (told.journal === by.journal) this.#originSeqs.set(told.journal, told.haveSeq);
    this.#apply(by, told);
  }

  ended(by: T): void {
    this.#latest.delete(by);
  }

  /** To be called now and then: a copy may have more by now than when it was told. */
  look(): void {
    for (const [by, journals] of this.#latest) {
      for (const told of journals.values()) this.#apply(by, told);
    }
  }

  /** Up to where that journal was durable at its own gateway, when that told us last. */
  originSeq(journal: string): number {
    return this.#originSeqs.get(journal) ?? Number.POSITIVE_INFINITY;
  }

  /** What a journal's origin still needs, only that itself can tell. */
  #apply(by: T, told: Positions): void {
    const { journals, lanes, acts } = this.#tools;
    const one = journals().find(({ id }) => id === told.journal);
    if (one === undefined) return;
    const neededSeq = told.journal === by.journal ? told.neededSeq : null;
    applyPositions(one, { ...told, neededSeq }, acts(), lanes);
  }
}
