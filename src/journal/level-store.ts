import { join } from "node:path";
import { ClassicLevel } from "classic-level";
import type { Clock } from "../base/clock.ts";
import { FieldgateError } from "../base/errors.ts";
import { isoTime } from "../base/wall-time.ts";
import { Ballast } from "./file-ballast.ts";
import { farSeqOf } from "./file-copy-mark.ts";
import { isManifestZeroed } from "./file-manifest.ts";
import { FileNotes } from "./file-notes.ts";
import {
  directoryBytes,
  ensureDirectory,
  freeBytesAt,
  lacksCurrent,
  moveAside,
  syncDirectory,
} from "./file-store.ts";
import { isLevelDamage } from "./level-damage.ts";
import { droppedFromLogs, Mending, tryReading } from "./level-mending.ts";
import {
  type Change,
  noDamage,
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
/** Changes of one commit. What a batch of the database's own holds outside the heap is given back only with the garbage, so few blocks go there. */
const MANY = 64;
/** What a repair writes: the rows of the logs, as tables. */
const MENDING_BYTES = 4 * WRITE_BUFFER_BYTES;

/** The store on LevelDB, in `<path>/journal`. Damaged ones are set aside as `<path>/quarantine-<time>`. */
export class LevelStore implements Store {
  readonly #path: string;
  readonly #directory: string;
  readonly #bytesMax: number;
  readonly #clock: Clock;
  readonly reserve: Ballast;
  readonly notes: FileNotes;
  readonly damage = noDamage();
  #db: Level | null = null;

  /** @param ballastBytes what is kept free for when the disk is full, at most an eighth of `bytesMax` */
  constructor(path: string, bytesMax: number, clock: Clock, ballastBytes = 0) {
    this.#path = path;
    this.#directory = join(path, "journal");
    this.#bytesMax = bytesMax;
    this.#clock = clock;
    this.notes = new FileNotes(path);
    this.reserve = new Ballast(path, Math.min(ballastBytes, Math.floor(bytesMax / 8)));
  }

  async open(): Promise<void> {
    let db: Level;
    try {
      await new Mending(this.#path).settle();
      await ensureDirectory(this.#directory);
      if (await lacksCurrent(this.#directory)) throw new StoreDamage("CURRENT is missing");
      if (await isManifestZeroed(this.#directory)) throw new StoreDamage("MANIFEST has zeros");
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
    this.damage.logBytesDropped += await droppedFromLogs(this.#directory);
    this.#db = db;
  }

  async close(): Promise<void> {
    const db = this.#db;
    this.#db = null;
    await db?.close();
  }

  async setAside(): Promise<string> {
    const to = this.#quarantine();
    await moveAside(this.#directory, to);
    return to;
  }

  farSeq(choose: () => number): Promise<number | null> {
    return farSeqOf(this.#directory, choose);
  }

  async isReadable(signal: AbortSignal): Promise<boolean> {
    const found = await tryReading(this.#directory, signal);
    if (found === "locked") throw this.#locked();
    return found === "sound";
  }

  async mend(accept: (copy: Store) => Promise<boolean>, signal: AbortSignal): Promise<boolean> {
    if ((await freeBytesAt(this.#path)) < MENDING_BYTES) await this.reserve.release();
    const mending = new Mending(this.#path);
    try {
      const lost = await mending.repair(signal);
      if (lost === null) return false;
      const copy = new LevelStore(mending.path, this.#bytesMax, this.#clock);
      copy.damage.filesLost = lost;
      await copy.open();
      const isAccepted = await accept(copy).finally(() => copy.close());
      signal.throwIfAborted();
      if (!isAccepted) return false;
      await mending.replace(lost > 0 ? this.#quarantine() : null);
      this.damage.filesLost += lost;
      this.damage.wantsMending = false;
      return true;
    } catch (error) {
      signal.throwIfAborted();
      if (isLevelDamage(error) || error instanceof StoreDamage) return false;
      throw this.#explain(error);
    } finally {
      await mending.end();
    }
  }

  /** What cannot be read is passed over: the journal finds out by its checksums and sequences what is missing. */
  async get(key: Buffer): Promise<Buffer | undefined> {
    try {
      return await this.#level().get(key, { fillCache: false });
    } catch (error) {
      this.#passOver(error);
      return undefined;
    }
  }

  async page(range: StoreRange): Promise<StoreRow[]> {
    const iterator = this.#iterator(range);
    try {
      return await iterator.nextv(range.rowsMax);
    } catch (error) {
      this.#passOver(error);
      return await this.#readablePage(range);
    } finally {
      await iterator.close();
    }
  }

  /** LevelDB passes over what it cannot read, and says so at the end of a page, which is then not given out: so, row by row. */
  async #readablePage(range: StoreRange): Promise<StoreRow[]> {
    const iterator = this.#iterator(range);
    const rows: StoreRow[] = [];
    try {
      for (let bytes = 0; rows.length < range.rowsMax && bytes <= range.bytesMax; ) {
        const [row] = await iterator.nextv(1);
        if (row === undefined) break;
        rows.push(row);
        bytes += row[0].length + row[1].length;
      }
    } catch (error) {
      if (!isLevelDamage(error)) throw error;
    } finally {
      await iterator.close();
    }
    return rows;
  }

  #iterator(range: StoreRange) {
    return this.#level().iterator({
      gte: range.gte,
      lt: range.lt,
      reverse: range.reverse ?? false,
      limit: range.rowsMax,
      fillCache: false,
      highWaterMarkBytes: Math.min(PAGE_BYTES_MAX, range.bytesMax),
    });
  }

  #passOver(error: unknown): void {
    if (!isLevelDamage(error)) throw error;
    this.damage.unreadable++;
  }

  #quarantine(): string {
    const stamp = isoTime(this.#clock.wallMs()).replace(/[:.]/g, "-");
    return join(this.#path, `quarantine-${stamp}`);
  }

  /** Many changes go one by one into a batch of the database's own: as a list they would cost the loop forty times as much. */
  async write(changes: readonly Change[], sync: boolean): Promise<void> {
    const db = this.#level();
    if (changes.length < MANY) {
      const operations = changes.map(({ key, value }) =>
        value === null ? { type: "del" as const, key } : { type: "put" as const, key, value },
      );
      return await this.#unlessDamaged(db.batch(operations, { sync }));
    }
    const batch = db.batch();
    for (const { key, value } of changes) {
      if (value === null) batch.del(key);
      else batch.put(key, value);
    }
    await this.#unlessDamaged(batch.write({ sync }));
  }

  async clear(gte: Buffer, lt: Buffer): Promise<void> {
    await this.#unlessDamaged(this.#level().clear({ gte, lt }));
  }

  async compact(gte: Buffer, lt: Buffer): Promise<void> {
    await this.#unlessDamaged(this.#level().compactRange(gte, lt));
  }

  /** A merge of tables that meets damage ends all writes, and does so again after each opening. */
  async #unlessDamaged(work: Promise<void>): Promise<void> {
    try {
      await work;
    } catch (error) {
      this.damage.wantsMending ||= isLevelDamage(error);
      throw error;
    }
  }

  async measure(knownBytes?: number): Promise<StoreSize> {
    const [bytes, freeBytes] = await Promise.all([
      knownBytes ?? directoryBytes(this.#directory),
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
    if (code === "LEVEL_LOCKED") return this.#locked(cause);
    if (isLevelDamage(cause)) return new StoreDamage(text, { cause });
    return new FieldgateError(
      "ERR_STORE_OPEN",
      `the store in ${this.#directory} cannot be opened: ${text}`,
      { cause, details },
    );
  }

  #locked(cause?: unknown): FieldgateError {
    return new FieldgateError(
      "ERR_STORE_LOCKED",
      `the store in ${this.#directory} is in use by another process: stop that one (systemctl stop fieldgate), or give this one another store.path`,
      { cause, details: { path: this.#directory } },
    );
  }
}
