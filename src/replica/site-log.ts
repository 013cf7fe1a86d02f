import { notUnderstood } from "./frames.ts";

/**
 * What the other gateways must know of our sessions, beside the messages: written into our own journal in the commit in which it
 * happens, so that it comes to each copy in order and together with what it refers to. One entry has one or more records, as JSON.
 */
export type SiteRecord =
  /** All that there is follows, up to `whole`: what is not said again is not there any more. */
  | readonly ["all"]
  | readonly ["whole"]
  /** These entries of this journal wait for the session, under this index and those that follow it. */
  | readonly ["waits", client: string, index: number, seqs: readonly number[]]
  /** The session has acknowledged everything up to that index. */
  | readonly ["head", client: string, index: number]
  | readonly ["put", space: Space, key: string, base64: string]
  | readonly ["del", space: Space, key: string]
  | readonly ["clear", space: Space, gte: string, lt: string]
  /** What this journal says of the session up to here is all: its client is not here any more, and that gateway may have it. */
  | readonly ["moved", client: string, to: string];

/** Spaces of rows of which the other gateways have a copy. */
export const SPACES = [
  "session",
  "received",
  "released",
  "aedes",
  "home",
  "feed",
  "willed",
] as const;
export type Space = (typeof SPACES)[number];

export function isSpace(space: string): space is Space {
  return SPACES.some((one) => one === space);
}

/** The lane of these entries. No uplink reads it. */
export const LOG_LANE = 14;
/** What an entry has at most, about. */
const CHARACTERS_MAX = 128 * 1024;
const RECORDS_MAX = 4096;

/** As payloads of entries. */
export function logEntries(records: readonly SiteRecord[]): readonly Buffer[] {
  const entries: Buffer[] = [];
  let texts: string[] = [];
  let characters = 0;
  for (const record of records) {
    const text = JSON.stringify(record);
    if (characters + text.length > CHARACTERS_MAX || texts.length >= RECORDS_MAX) {
      if (texts.length > 0) entries.push(Buffer.from(`[${texts.join()}]`));
      texts = [];
      characters = 0;
    }
    texts.push(text);
    characters += text.length;
  }
  if (texts.length > 0) entries.push(Buffer.from(`[${texts.join()}]`));
  return entries;
}

export function putRecord(space: Space, key: string, value: Uint8Array): SiteRecord {
  return ["put", space, key, Buffer.from(value).toString("base64")];
}

/** About, as JSON. */
export const SEQ_BYTES = 8;
const RECORD_BYTES = 32;

/** How much a record takes, about. */
export function bytesOf(record: SiteRecord): number {
  let bytes = RECORD_BYTES;
  for (const part of record) bytes += typeof part === "string" ? part.length : SEQ_BYTES;
  return bytes;
}

/** @throws FieldgateError ERR_PEER_PROTOCOL */
export function readLogEntry(payload: Uint8Array): readonly SiteRecord[] {
  let records: unknown;
  try {
    records = JSON.parse(Buffer.from(payload).toString());
  } catch (cause) {
    throw notUnderstood("a log of sessions that is no JSON", cause);
  }
  if (!Array.isArray(records) || !records.every(isRecord)) {
    throw notUnderstood("a log of sessions with a record that is none");
  }
  return records as SiteRecord[];
}

function isRecord(value: unknown): boolean {
  if (!Array.isArray(value)) return false;
  const [what, first, second, third] = value;
  if (what === "all" || what === "whole") return true;
  if (typeof first !== "string") return false;
  if (what === "head") return isIndex(second);
  if (what === "moved") return typeof second === "string";
  if (what === "waits") return isIndex(second) && Array.isArray(third) && third.every(isIndex);
  if (!SPACES.some((space) => space === first) || typeof second !== "string") return false;
  if (what === "del") return true;
  return (what === "put" || what === "clear") && typeof third === "string";
}

function isIndex(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}
