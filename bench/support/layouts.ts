import { type FileHandle, open, rm } from "node:fs/promises";
import { join } from "node:path";
import { ClassicLevel } from "classic-level";
import { BlockWriter } from "../../src/journal/block-writer.ts";
import { blockKey, indexKey, KEY, kindKey, namedKey } from "../../src/journal/keys.ts";
import { numbersRow } from "../../src/journal/small-row.ts";
import type { Message } from "../../src/mqtt/message.ts";
import { Loaded } from "./journal-load.ts";

/** A way to keep messages for one reader and one session, as far as it takes to compare what it costs. */
export interface Layout {
  /** Makes these durable; with `passed`, reader and session take them, and with a later commit they go. */
  commit(messages: readonly Message[], passed: boolean): Promise<void>;
  stop(): Promise<void>;
}

export type OpenLayout = (path: string) => Promise<Layout>;

/** The journal as it is. */
export const blocksOnLevel: OpenLayout = async (path) => {
  const loaded = await Loaded.start(path);
  return {
    commit: ({ length }, passed) => (passed ? loaded.follow(length) : loaded.grow(length)),
    stop: () => loaded.journal.stop(),
  };
};

/** The blocks of the journal, encoded beforehand, in the batches of LevelDB that it makes of them: the floor under it. */
export const bareLevel: OpenLayout = async (path) => {
  const db = await openLevel(path);
  const values = new Map<number, Buffer>();
  const cursorKey = namedKey(KEY.cursor, "reader");
  let lastSeq = 0;
  let passedSeq = 0;
  return {
    async commit(messages, passed) {
      const value = values.get(messages.length) ?? encode(messages, 1);
      values.set(messages.length, value);
      const cursor = numbersRow(cursorKey, [passedSeq, passedSeq]);
      const put = [
        { type: "put" as const, key: blockKey(lastSeq + 1), value },
        { type: "put" as const, key: cursorKey, value: cursor },
      ];
      const gone = { type: "del" as const, key: blockKey(passedSeq) };
      await db.batch(passedSeq > 0 ? [...put, gone] : put, { sync: true });
      if (passed) passedSeq = lastSeq + 1;
      lastSeq += messages.length;
    },
    stop: () => db.close(),
  };
};

/** As many bytes, written to a file that grows, and synced. */
export const bareFile: OpenLayout = async (path) => {
  const file = await open(join(path, "bare"), "w");
  const values = new Map<number, Buffer>();
  return {
    async commit(messages) {
      const value = values.get(messages.length) ?? encode(messages, 1);
      values.set(messages.length, value);
      await file.write(value);
      await file.datasync();
    },
    stop: () => file.close(),
  };
};

/** A key for each message, and one for each reference of a queue. */
export const keyEachOnLevel: OpenLayout = async (path) => {
  const db = await openLevel(path);
  const cursorKey = namedKey(KEY.cursor, "reader");
  let lastSeq = 0;
  let trimmedSeq = 0;
  let passedSeq = 0;
  return {
    async commit(messages, passed) {
      const batch = db.batch();
      for (; trimmedSeq < passedSeq; trimmedSeq++) {
        batch.del(blockKey(trimmedSeq + 1)).del(indexKey(1, trimmedSeq + 1));
      }
      for (const message of messages) {
        lastSeq++;
        batch.put(blockKey(lastSeq), encode([message], lastSeq));
        batch.put(indexKey(1, lastSeq), Buffer.alloc(0));
      }
      if (passed) passedSeq = lastSeq;
      batch.put(cursorKey, numbersRow(cursorKey, [passedSeq, passedSeq]));
      await batch.write({ sync: true });
    },
    stop: () => db.close(),
  };
};

/** Blocks appended to files of our own, positions in LevelDB: synced too, or found again from the blocks at the start. */
export function ownLog(options: { readonly syncsIndex: boolean }): OpenLayout {
  return async (path) => {
    const db = await openLevel(path);
    const log = new Segments(path);
    const head = kindKey(KEY.head);
    let lastSeq = 0;
    return {
      async commit(messages, passed) {
        await log.append(encode(messages, lastSeq + 1), passed);
        lastSeq += messages.length;
        const index = indexKey(1, lastSeq);
        const batch = db.batch().put(head, numbersRow(head, [lastSeq, lastSeq]));
        if (passed) batch.del(index);
        else batch.put(index, Buffer.alloc(messages.length));
        await batch.write({ sync: options.syncsIndex });
      },
      async stop() {
        await log.close();
        await db.close();
      },
    };
  };
}

const SEGMENT_BYTES = 32 * 2 ** 20;

/** Files that are deleted once all in them has passed. */
class Segments {
  readonly #path: string;
  #file: FileHandle | null = null;
  #number = 0;
  #bytes = 0;

  constructor(path: string) {
    this.#path = path;
  }

  async append(block: Buffer, passed: boolean): Promise<void> {
    if (this.#file === null || this.#bytes > SEGMENT_BYTES) await this.#next(passed);
    await this.#file?.write(block);
    await this.#file?.datasync();
    this.#bytes += block.length;
  }

  async close(): Promise<void> {
    await this.#file?.close();
  }

  async #next(passed: boolean): Promise<void> {
    await this.close();
    if (passed && this.#number > 0) await rm(this.#name());
    this.#number++;
    this.#bytes = 0;
    this.#file = await open(this.#name(), "w");
    const directory = await open(this.#path, "r");
    await directory.sync();
    await directory.close();
  }

  #name(): string {
    return join(this.#path, `${this.#number}.blocks`);
  }
}

const writer = new BlockWriter();

function encode(messages: readonly Message[], firstSeq: number): Buffer {
  const wallMs = Date.now();
  for (const message of messages) writer.add(message, 1, wallMs);
  return writer.seal(firstSeq, 0, 0, [0, firstSeq]).value;
}

/** With the options of the journal. */
async function openLevel(path: string): Promise<ClassicLevel<Buffer, Buffer>> {
  const db = new ClassicLevel<Buffer, Buffer>(path, {
    keyEncoding: "buffer",
    valueEncoding: "buffer",
  });
  await db.open({ writeBufferSize: 8 * 2 ** 20, cacheSize: 2 * 2 ** 20 });
  return db;
}
