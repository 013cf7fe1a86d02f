import type { Absences } from "./absences.ts";
import type { Connection } from "./connection.ts";
import type { Session } from "./session.ts";
import type { Talker } from "./talkers.ts";

/** One session, and the connection of its client when it is here. */
export interface ClientStatus {
  readonly clientId: string;
  readonly connected: boolean;
  /** Kept while the client is away. */
  readonly persistent: boolean;
  /** "10.0.0.5:49152"; null when it is not here. */
  readonly remote: string | null;
  readonly connectedMs: number | null;
  /** For so long has the gateway run without it; null when it is here. */
  readonly awayMs: number | null;
  /** When it left, by the wall clock, in milliseconds since 1970; null when it is here, or when that clock was never set. */
  readonly awaySinceMs: number | null;
  /** Since something came from it; null when it is not here. */
  readonly silentMs: number | null;
  readonly subscriptions: readonly { readonly filter: string; readonly qos: number }[];
  /** Sent and not acknowledged. */
  readonly inflight: number;
  /** Messages that wait for it: on disk, those in flight included, and in memory. */
  readonly queued: number;
  readonly queuedBytes: number;
  /** Copies that were lost to it because its queue or its output was full, since its session was made or taken up. */
  readonly dropped: number;
  /** Messages that were taken from it, since it connected. */
  readonly published: number;
  /** The same a second, over the last seconds. */
  readonly perSecond: number;
}

/** Whether a connection has the session of that client, and so is about to use it. */
export function isConnected(clientId: string, connections: Iterable<Connection>): boolean {
  for (const { session } of connections) if (session?.clientId === clientId) return true;
  return false;
}

/** All sessions: those that are connected first, those whose client is away longest last. */
export function clientsOf(
  {
    sessions,
    absences,
  }: { readonly sessions: Iterable<Session>; readonly absences: Pick<Absences, "of"> },
  connections: Iterable<Connection>,
  talkers: readonly Talker[],
  nowMs: number,
): readonly ClientStatus[] {
  const here = new Map<Session, Connection>();
  for (const connection of connections) {
    const { session } = connection;
    if (session !== null && session.link === connection) here.set(session, connection);
  }
  const rates = new Map(talkers.map(({ clientId, perSecond }) => [clientId, perSecond]));
  const all = [...sessions].map((session): ClientStatus => {
    const { clientId, persistent, queued, inflight, dropped } = session;
    const connection = here.get(session);
    const absence = connection === undefined ? absences.of(clientId) : null;
    return {
      clientId,
      connected: connection !== undefined,
      persistent,
      remote: connection?.channel.remote ?? null,
      connectedMs: connection === undefined ? null : Math.round(nowMs - connection.openedMs),
      awayMs: absence?.awayMs ?? null,
      awaySinceMs: absence?.sinceMs ?? null,
      silentMs: connection === undefined ? null : Math.round(nowMs - connection.lastSeenMs),
      subscriptions: [...session.subscriptions.values()],
      inflight,
      queued: queued.messages,
      queuedBytes: queued.bytes,
      dropped,
      published: connection?.published ?? 0,
      perSecond: rates.get(clientId) ?? 0,
    };
  });
  return all.toSorted(
    (a, b) =>
      Number(b.connected) - Number(a.connected) ||
      b.perSecond - a.perSecond ||
      (a.awayMs ?? 0) - (b.awayMs ?? 0) ||
      a.clientId.localeCompare(b.clientId),
  );
}
