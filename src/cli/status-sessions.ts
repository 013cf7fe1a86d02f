import type { GatewayStatus } from "../gateway-status.ts";
import { count } from "./words.ts";

/** Why new clients will find no room for their sessions, and what to do; empty as long as there is enough. */
export function sessionWarnings({ broker }: GatewayStatus): string[] {
  const { sessions, away, sessionsMax, nearlyFull } = broker.persistent;
  if (!nearlyFull) return [];
  const what = `${count(sessions)} of ${count(sessionsMax)} persistent sessions, ${count(away)} of clients that are away`;
  const then = sessions < sessionsMax ? "soon new ones are refused" : "new ones are refused";
  return [
    `${what}: ${then}; fieldgate clients forget ID ends one, mqtt.sessionExpiryHours those that stay away`,
  ];
}
