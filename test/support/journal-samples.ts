import { FieldgateError } from "../../src/base/errors.ts";
import type { Entry, Journal } from "../../src/journal/journal.ts";
import type { Message } from "../../src/mqtt/message.ts";

export const ALL = { messagesMax: 10_000, bytesMax: 2 ** 30 };
export const NOW = 1_700_000_000_000;

export function message(topic: string, payload: string): Message {
  return { topic, payload: Buffer.from(payload), qos: 1, retain: false, properties: null };
}

export function plain(one: Message): unknown {
  const properties = one.properties && Buffer.from(one.properties).toString("hex");
  return { ...one, payload: Buffer.from(one.payload).toString(), properties };
}

export function text(entry: Entry): string {
  return Buffer.from(entry.message.payload).toString();
}

export async function readPlain(journal: Journal): Promise<unknown[]> {
  const { entries } = await journal.read(0, ALL);
  return entries.map((entry) => ({ ...entry, message: plain(entry.message) }));
}

export async function texts(journal: Journal, afterSeq = 0): Promise<string[]> {
  return (await journal.read(afterSeq, ALL)).entries.map(text);
}

export async function list(rows: AsyncIterable<readonly [string, Uint8Array]>): Promise<string[]> {
  const keys: string[] = [];
  for await (const [key] of rows) keys.push(key);
  return keys;
}

export function isCode(error: unknown, code: string): boolean {
  return error instanceof FieldgateError && error.code === code;
}
