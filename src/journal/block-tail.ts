import type { Block } from "./block.ts";

/** What a block in memory costs beside its bytes. */
const BLOCK_COST = 256;

/** The newest durable blocks, in memory, so that who reads along does not touch the disk. */
export class BlockTail {
  readonly #bytesMax: number;
  #blocks: (Block | undefined)[] = [];
  #first = 0;
  #bytes = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  add(block: Block): void {
    this.#blocks.push(block);
    this.#bytes += block.value.length + BLOCK_COST;
    while (this.#bytes > this.#bytesMax && this.#first < this.#blocks.length) {
      this.#bytes -= (this.#blocks[this.#first]?.value.length ?? 0) + BLOCK_COST;
      this.#blocks[this.#first++] = undefined;
    }
    if (this.#first > 64 && this.#first * 2 > this.#blocks.length) {
      this.#blocks = this.#blocks.slice(this.#first);
      this.#first = 0;
    }
  }

  /** The block that begins at `firstSeq`. */
  at(firstSeq: number): Block | undefined {
    const block = this.#blocks[this.#firstEndingFrom(firstSeq)];
    return block?.firstSeq === firstSeq ? block : undefined;
  }

  /** The blocks from the one that holds `seq` on; null when the tail does not reach so far back. */
  from(seq: number): readonly Block[] | null {
    const oldest = this.#blocks[this.#first];
    if (!oldest || seq < oldest.firstSeq - oldest.skipped) return null;
    const begin = this.#firstEndingFrom(seq);
    if (begin === this.#blocks.length) return null;
    return this.#blocks.slice(begin, begin + 64).filter((block) => block !== undefined);
  }

  /** Index of the first block whose last seq is not below `seq`. */
  #firstEndingFrom(seq: number): number {
    let low = this.#first;
    let high = this.#blocks.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#blocks[middle]?.lastSeq ?? 0) < seq) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
