import { type EpochRows, writeEpoch } from "./epoch-row.ts";

/** Writes the highest epoch seen or tried for to the disk, one at a time. */
export class EpochKeeper {
  readonly #rows: EpochRows;
  readonly #keptEpoch: () => number;
  readonly #kept: (epoch: number) => void;
  #toKeep = 0;
  #isKeeping = false;

  /**
   * @param keptEpoch the highest one that is durable
   * @param kept is told each one that is durable, and known by `keptEpoch` then
   */
  constructor(rows: EpochRows, keptEpoch: () => number, kept: (epoch: number) => void) {
    this.#rows = rows;
    this.#keptEpoch = keptEpoch;
    this.#kept = kept;
  }

  /**
   * While one is on its way to the disk, it is left to that call to write the next one too.
   * @throws what the rows throw: then none is on its way any more
   */
  async keep(epoch: number): Promise<void> {
    this.#toKeep = Math.max(this.#toKeep, epoch);
    if (this.#isKeeping) return;
    this.#isKeeping = true;
    try {
      while (this.#keptEpoch() < this.#toKeep) {
        const next = this.#toKeep;
        await writeEpoch(this.#rows, next);
        this.#kept(next);
      }
    } catch (error) {
      this.#toKeep = 0;
      throw error;
    } finally {
      this.#isKeeping = false;
    }
  }
}
