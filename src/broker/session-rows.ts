import type { Rows } from "../base/rows.ts";
import type { Principal } from "./access.ts";

/**
 * What is kept of persistent sessions, in four spaces of rows:
 *
 *   session   client id              → JSON { createdMs, principal }   whose it is: docs/security.md
 *   received  client id NUL packet   → (empty)   a QoS 2 message came and was not released yet
 *   released  client id NUL index    → (empty)   the client has a QoS 2 message; PUBREL is to be completed
 *   lent      client id NUL packet   → index NUL queue   a QoS 2 message of a shared group is out under that identifier;
 *                                      (empty)   PUBREL is to be completed
 */
export type SessionRows = Readonly<Record<"session" | "received" | "released" | "lent", Rows>>;

export function sessionRows(of: (space: string) => Rows): SessionRows {
  return {
    session: of("session"),
    received: of("received"),
    released: of("released"),
    lent: of("lent"),
  };
}

/** A row that an older version has written says nothing of whom it belongs to. */
export function principalIn(row: Uint8Array): Principal | null {
  const { principal } = JSON.parse(Buffer.from(row).toString()) as { principal?: Principal };
  return principal ?? null;
}

export const EMPTY = new Uint8Array(0);

/** NUL cannot be part of a client id [MQTT-1.5.3-2], so that no client's rows are within another's. */
export function rowKey(clientId: string, number: number): string {
  return `${clientId}\0${number}`;
}

export function inKey(key: string): { readonly clientId: string; readonly number: number } {
  const end = key.lastIndexOf("\0");
  return { clientId: key.slice(0, end), number: Number(key.slice(end + 1)) };
}

/** By client, all in one walk: one for each client would be most of a start with thousands of sessions. */
export async function numbersIn(rows: Rows): Promise<Map<string, number[]>> {
  const byClient = new Map<string, number[]>();
  for await (const [key] of rows.entries({})) {
    const { clientId, number } = inKey(key);
    const numbers = byClient.get(clientId);
    if (numbers === undefined) byClient.set(clientId, [number]);
    else numbers.push(number);
  }
  return byClient;
}
