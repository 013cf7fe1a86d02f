import type { Connection } from "./connection.ts";

export interface TimeLimits {
  readonly connectTimeoutMs: number;
  readonly packetTimeoutMs: number;
}

type Times = Pick<
  Connection,
  | "awaitsConnect"
  | "awaitsVerdict"
  | "openedMs"
  | "listens"
  | "lastSeenMs"
  | "silenceMsMax"
  | "packetSinceMs"
> & { readonly channel: Pick<Connection["channel"], "unfinishedSinceMs"> };

/**
 * Why a connection has had its time, or null. One that is not read is not silent; whether it takes its own output is
 * watched by its channel.
 */
export function overdue(connection: Times, nowMs: number, limits: TimeLimits): string | null {
  const { openedMs, lastSeenMs, silenceMsMax, packetSinceMs } = connection;
  if (connection.awaitsConnect || connection.awaitsVerdict) {
    if (nowMs - openedMs <= limits.connectTimeoutMs) return null;
    return connection.awaitsConnect ? "no CONNECT in time" : "credentials not checked in time";
  }
  if (!connection.listens) return null;
  if (silenceMsMax > 0 && nowMs - lastSeenMs > silenceMsMax) return "keep-alive"; // [MQTT-3.1.2-24]
  const sinceMs = packetSinceMs ?? connection.channel.unfinishedSinceMs;
  if (sinceMs === null || nowMs - sinceMs <= limits.packetTimeoutMs) return null;
  return "packet not finished in time";
}
