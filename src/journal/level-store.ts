import { join } from "node:path";
import { ClassicLevel } from "classic-level";
import type { Clock } from "../base/clock.ts";
import { FieldgateError } from "../base/errors.ts";
import { isoTime } from "../base/wall-time.ts";
import { Ballast } from "./file-ballast.ts";
import { farSeqOf } from "./file-copy-mark.ts";
import {
  directoryBytes,
  ensureDirectory,
  freeBytesAt,
  lacksCurrent,
  moveAside,
  syncDirectory,
} from "./file-store.ts";
import {
  type Change,
  type Store,
  StoreDamage,
  type StoreRange,
  type StoreRow,
  type StoreSize,
} from "./store.ts";

type Level = ClassicLevel<Buffer, Buffer>;

/**
 * LevelDB's own buffers, twice in memory. A larger one means fewer files to merge: 16 MiB would write 5 % less still, and cost
 * 16 MiB more.
 */
const WRITE_BUFFER_BYTES = 8 * 2 ** 20;
const WRITE_BUFFER_SHARE = 1 / 16;
const CACHE_BYTES = 2 * 2 ** 20;
const OPEN_FILES_MAX = 200;
const PAGE_BYTES_MAX = 2 ** 30;

/** The store on LevelDB, in `<path>/journal`. Damaged ones are set aside as `<path>/quarantine-<time>`. */
export class LevelStore implements Store {
  readonly #path: string;
  readonly #directory: string;
  readonly #bytesMax: number;
  readonly #clock: Clock;
  readonly reserve: Ballast;
  #db: Level | null = null;

  /** @param ballastBytes what is kept free for when the disk is full, at most an eighth of `bytesMax` */
  constructor(path: string, bytesMax: number, clock: Clock, ballastBytes = 0) {
    this.#path = path;
    this.#directory = join(path, "journal");
    this.#bytesMax = bytesMax;
    this.#clock = clock;
    this.reserve = new Ballast(path, Math.min(ballastBytes, Math.floor(bytesMax / 8)));
  }

  async open(): Promise<void> {
    let db: Level;
    try {
      await ensureDirectory(this.#directory);
      if (await lacksCurrent(this.#directory)) throw new StoreDamage("CURRENT is missing");
      db = new ClassicLevel<Buffer, Buffer>(this.#directory, {
        keyEncoding: "buffer",
        valueEncoding: "buffer",
      });
      await db.open({
        writeBufferSize: Math.max(
          2 ** 16,
          Math.min(WRITE_BUFFER_BYTES, this.#bytesMax * WRITE_BUFFER_SHARE),
        ),
        cacheSize: CACHE_BYTES,
        maxOpenFiles: OPEN_FILES_MAX,
      });
    } catch (error) {
      throw this.#explain(error);
    }
    try {
      await syncDirectory(this.#directory, 2);
    } catch (error) {
      await db.close();
      throw this.#explain(error);
    }
    this.#db = db;
  }

  async close(): Promise<void> {
    const db = this.#db;
    this.#db = null;
    await db?.close();
  }

  async setAside(): Promise<string> {
    const stamp = isoTime(this.#clock.wallMs()).replace(/[:.]/g, "-");
    const to = join(this.#path, `quarantine-${stamp}`);
    await moveAside(this.#directory, to);
    return to;
  }

  farSeq(choose: () => number): Promise<number | null> {
    return farSeqOf(this.#directory, choose);
  }

  get(key: Buffer): Promise<Buffer | undefined> {
    return this.#level().get(key, { fillCache: false });
  }

  async page(range: StoreRange): Promise<StoreRow[]> {
    const iterator = this.#level().iterator({
      gte: range.gte,
      lt: range.lt,
      reverse: range.reverse ?? false,
      limit: range.rowsMax,
      fillCache: false,
      highWaterMarkBytes: Math.min(PAGE_BYTES_MAX, range.bytesMax),
    });
    try {
      return await iterator.nextv(range.rowsMax);
    } finally {
      await iterator.close();
    }
  }

  async write(changes: readonly Change[], sync: boolean): Promise<void> {
    const batch = this.#level().batch();
    for (const { key, value } of changes) {
      if (value === null) batch.del(key);
      else batch.put(key, value);
    }
    await batch.write({ sync });
  }

  async clear(gte: Buffer, lt: Buffer): Promise<void> {
    await this.#level().clear({ gte, lt });
  }

  async compact(gte: Buffer, lt: Buffer): Promise<void> {
    await this.#level().compactRange(gte, lt);
  }

  async measure(): Promise<StoreSize> {
    const [bytes, freeBytes] = await Promise.all([
      directoryBytes(this.#directory),
      freeBytesAt(this.#path),
    ]);
    return { bytes, freeBytes };
  }

  #level(): Level {
    if (this.#db) return this.#db;
    throw new FieldgateError("ERR_STORE_CLOSED", "the store is closed, or being opened again");
  }

  /** LevelDB tells the cause of a failed open in the cause of what it throws. */
  #explain(error: unknown): Error {
    if (error instanceof StoreDamage) return error;
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
    const code = cause instanceof Error && "code" in cause ? cause.code : undefined;
    const text = cause instanceof Error ? cause.message : String(cause);
    const details = { path: this.#directory };
    if (code === "LEVEL_LOCKED") {
      return new FieldgateError(
        "ERR_STORE_LOCKED",
        `the store in ${this.#directory} is in use by another process: stop that one (systemctl stop fieldgate), or give this one another store.path`,
        { cause, details },
      );
    }
    const isDamage =
      code === "LEVEL_CORRUPTION" ||
      (code === "LEVEL_IO_ERROR" &&
        /\.(ldb|sst|log)|MANIFEST/.test(text) &&
        /No such file/.test(text));
    if (isDamage) return new StoreDamage(text, { cause });
    return new FieldgateError(
      "ERR_STORE_OPEN",
      `the store in ${this.#directory} cannot be opened: ${text}`,
      { cause, details },
    );
  }
}
