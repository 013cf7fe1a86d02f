import { FieldgateError } from "../base/errors.ts";
import type { Log } from "../base/log.ts";
import { KEY, kindKey } from "./keys.ts";
import { openRow, sealRow } from "./small-row.ts";
import { type Change, type Store, StoreDamage } from "./store.ts";

/** What turns a store of one version into one of the next: changes that are written in one batch with the new version. */
export type Migration = (store: Store) => Promise<readonly Change[]>;

/** A version of the whole store, as `m` names it, and the way to it. */
export interface StoreFormat {
  readonly version: number;
  /** By the version that they begin at. */
  readonly migrations: ReadonlyMap<number, Migration>;
}

/** docs/journal-format.md. Whoever raises the version adds the migration from the one before. */
export const FORMAT: StoreFormat = { version: 1, migrations: new Map() };

/** A row of older programs, that the journal was stopped in order. Nobody reads it any more, and it goes at the start. */
const STALE = Buffer.from("z");

export interface Meta {
  readonly version: number;
  readonly id: string;
}

/**
 * The id of the journal in an open store, brought to this format; null when the store is new. Each step is one synced batch: a
 * power cut leaves the one version or the other, whole.
 * @throws FieldgateError ERR_STORE_FORMAT, with the store untouched, when it is newer, or so old that no migration begins there
 * @throws StoreDamage when there is something, and it does not say whose journal it is
 */
export async function journalId(
  store: Store,
  format: StoreFormat,
  log: Log,
): Promise<string | null> {
  const meta = await readMeta(store);
  if (meta === null) return null;
  const { id, version } = meta;
  const steps = Array.from({ length: Math.max(0, format.version - version) }, (_, i) =>
    format.migrations.get(version + i),
  );
  if (version > format.version || steps.includes(undefined)) throw unknown(version, format);
  for (const [i, step] of steps.entries()) {
    const to = version + i + 1;
    const changes = (await step?.(store)) ?? [];
    await store.write([...changes, metaChange({ id, version: to })], true);
    log.info("the store was brought to a newer format", { from: to - 1, to });
  }
  if ((await store.get(STALE)) !== undefined)
    await store.write([{ key: STALE, value: null }], true);
  return id;
}

/** Makes an empty store a journal of this format. On one that is that already, it syncs what was written before. */
export async function writeMeta(
  store: Store,
  id: string,
  { version }: StoreFormat = FORMAT,
): Promise<void> {
  await store.write([metaChange({ id, version })], true);
}

function metaChange({ id, version }: Meta): Change {
  const key = kindKey(KEY.meta);
  const body = Buffer.alloc(18);
  body.writeUInt16BE(version, 0);
  body.write(id, 2, "hex");
  return { key, value: sealRow(key, body) };
}

async function readMeta(store: Store): Promise<Meta | null> {
  const key = kindKey(KEY.meta);
  const value = await store.get(key);
  if (value === undefined) {
    const all = { gte: Buffer.alloc(1), lt: Buffer.from([255]) };
    const any = await store.page({ ...all, rowsMax: 1, bytesMax: 0 });
    if (any.length === 0) return null;
    throw new StoreDamage("the store has rows but does not say whose journal it is");
  }
  const meta = metaOf(value);
  if (meta === null) throw new StoreDamage("the row that names the journal is damaged");
  return meta;
}

/** What the row that names the journal says; null when it is damaged or not there. */
export function metaOf(value: Buffer | undefined): Meta | null {
  const body = value === undefined ? null : openRow(kindKey(KEY.meta), value);
  if (body === null || body.length < 18) return null;
  return { version: body.readUInt16BE(0), id: body.toString("hex", 2, 18) };
}

function unknown(version: number, { version: known }: StoreFormat): FieldgateError {
  const what =
    version > known
      ? `this program knows up to ${known}: install the newer version again, or set the store aside`
      : `this program has no way from there to ${known}: start an older version on it first`;
  return new FieldgateError(
    "ERR_STORE_FORMAT",
    `the store was written in format ${version}, and ${what}`,
    { details: { version, known } },
  );
}
