import { FieldgateError } from "../base/errors.ts";
import type { Appender } from "./appender.ts";
import { openBlock } from "./block.ts";
import type { BlockReader } from "./block-reader.ts";
import type { Cursors } from "./cursors.ts";
import type { GroupCommit } from "./group-commit.ts";
import type { BlockCopies, StoredBlocks, Taken } from "./journal.ts";
import type { Queues } from "./queues.ts";
import type { Retention } from "./retention.ts";
import type { Space } from "./space.ts";

export interface CopyingParts {
  readonly commit: GroupCommit;
  readonly appender: Appender;
  readonly blocks: BlockReader;
  readonly cursors: Cursors;
  readonly queues: Queues;
  readonly space: Space;
  readonly retention: Retention;
}

/** Blocks go out of a journal as they are, and into a copy of it. */
export class Copying implements BlockCopies {
  readonly #parts: CopyingParts;

  constructor(parts: CopyingParts) {
    this.#parts = parts;
  }

  get trimmedSeq(): number {
    return this.#parts.retention.trimmedSeq;
  }

  async read(afterSeq: number, bytesMax: number): Promise<StoredBlocks> {
    const { blocks, throughSeq } = await this.#parts.blocks.readBlocks(afterSeq, bytesMax);
    return { entries: blocks.map(({ lastSeq: seq, value }) => ({ seq, value })), throughSeq };
  }

  neededSeq(...except: readonly string[]): number {
    const { cursors, queues, appender } = this.#parts;
    return Math.min(cursors.lowestSeq(...except), queues.lowestSeq() - 1, appender.durableSeq);
  }

  async bytesAfter(seq: number): Promise<number> {
    const { appender, blocks } = this.#parts;
    if (seq >= appender.durableSeq) return 0;
    const around = await blocks.blockAround(seq + 1);
    return around === null ? 0 : appender.bytes - around.bytesBefore;
  }

  take(value: Buffer): Taken {
    const { commit, appender, space, retention } = this.#parts;
    const block = value.length < 16 ? null : openBlock(value, Number(value.readBigUInt64BE(8)));
    if (block === null) {
      throw new FieldgateError(
        "ERR_STORE_FORMAT",
        "this is no block of a journal, or a damaged one",
      );
    }
    const { lastSeq } = appender;
    if (block.lastSeq <= lastSeq) return { isNews: false, missed: 0 };
    if (!commit.running) {
      throw new FieldgateError("ERR_STORE_CLOSED", "the copy is not open: nothing was taken");
    }
    if (space.isFull(appender.pendingBytes)) throw space.refusal();
    // One that overlaps the last one was damaged here, and is mended.
    if (lastSeq === 0) retention.beginAt(block);
    const missed = lastSeq === 0 ? 0 : block.firstSeq - block.skipped - lastSeq - 1;
    appender.take(block);
    this.#parts.blocks.dating.took(block);
    commit.want();
    return { isNews: true, missed: Math.max(0, missed) };
  }
}
