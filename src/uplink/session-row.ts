import type { DownRows } from "./seen.ts";

/** What was last agreed with the cloud: where, and which filters it has of us. */
export interface CloudSession {
  readonly endpoint: string;
  readonly filters: readonly string[];
}

const KEY = "session";

export async function readSession(rows: DownRows): Promise<CloudSession | null> {
  const bytes = await rows.get(KEY);
  return bytes === undefined ? null : JSON.parse(Buffer.from(bytes).toString());
}

export async function writeSession(rows: DownRows, session: CloudSession): Promise<void> {
  await rows.put(KEY, Buffer.from(JSON.stringify(session)));
}
