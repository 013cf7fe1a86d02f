import { by, flag, type Samples, type Sheet, seconds } from "./prom-sheet.ts";

/** A link to the cloud, by its circuit breaker too. */
interface LinkSources {
  readonly state: string;
  readonly breaker: string;
  /** Connections that failed or ended. */
  readonly failures: number;
}

/** How a gateway stands with the cloud, and with the other gateways of its site. */
export interface LinkMetricSources {
  readonly uplink: (LinkSources & { readonly inflight: number }) | null;
  readonly progress: {
    readonly oldestMs: number | null;
    readonly silentMs: number | null;
    readonly drainSeconds: number | null;
  } | null;
  readonly downlink:
    | (LinkSources & {
        readonly received: number;
        readonly accepted: number;
        readonly duplicates: number;
        readonly refused: Readonly<Record<string, number>>;
      })
    | null;
  readonly cluster: {
    readonly role: string;
    readonly epoch: number | null;
    readonly mayAct: boolean;
    readonly etcd: string;
    readonly members: readonly unknown[];
  };
  readonly settings: { readonly error: unknown } | null;
  readonly replication: {
    readonly inSync: readonly string[];
    readonly isAlone: boolean;
    readonly peers: readonly { readonly id: string; readonly lagMs: number }[];
    readonly counters: {
      readonly homesForgotten: number;
      readonly syncLost: number;
      readonly cursorsForgotten: number;
      readonly replicaFull: number;
      readonly seqsMissed: number;
      readonly failures: Readonly<Record<string, number>>;
    };
  } | null;
}

export function linkMetrics(sheet: Sheet, sources: LinkMetricSources): void {
  uplinkPart(sheet, sources);
  downlinkPart(sheet, sources);
  sitePart(sheet, sources);
  replicationPart(sheet, sources);
}

function uplinkPart(sheet: Sheet, { uplink, progress }: LinkMetricSources): void {
  sheet.gauge("uplink_connected", "1: the cloud has accepted the connection.", connected(uplink));
  sheet.gauge("uplink_breaker_open", "1: the endpoint fails, and is left alone.", open(uplink));
  sheet.counter("uplink_failures", "Connections that failed or ended.", uplink?.failures ?? null);
  sheet.gauge("uplink_inflight_messages", "Sent and not acknowledged.", uplink?.inflight ?? null);
  if (progress === null) return;
  const { oldestMs, silentMs, drainSeconds } = progress;
  sheet.gauge("uplink_oldest_seconds", "Age of what has waited longest.", seconds(oldestMs));
  sheet.gauge("uplink_silent_seconds", "Since the cloud last acknowledged.", seconds(silentMs));
  sheet.gauge("uplink_drain_seconds", "Until nothing waits, at this rate.", drainSeconds);
}

function downlinkPart(sheet: Sheet, { downlink }: LinkMetricSources): void {
  if (downlink === null) return;
  sheet.gauge("downlink_connected", "1: commands can come down.", connected(downlink));
  sheet.gauge("downlink_breaker_open", "1: the endpoint fails, and is left alone.", open(downlink));
  sheet.counter("downlink_failures", "Connections that failed or ended.", downlink.failures);
  sheet.counter("commands_received", "From the cloud, repeated ones too.", downlink.received);
  sheet.counter("commands_accepted", "On disk and acknowledged.", downlink.accepted);
  sheet.counter("commands_duplicate", "Known already.", downlink.duplicates);
  sheet.counter("commands_refused", "Not carried out.", by("reason", downlink.refused));
}

function sitePart(sheet: Sheet, { cluster, settings }: LinkMetricSources): void {
  const { role, epoch, mayAct, etcd, members } = cluster;
  sheet.gauge("site_role", "1 for the role that the gateway has.", [[{ role }, 1]]);
  sheet.gauge("site_epoch", "Of the primary as far as this gateway is it.", epoch);
  sheet.gauge("site_may_act", "1: the gateway may act as primary now.", flag(mayAct));
  sheet.gauge("site_members", "Gateways registered at the site.", members.length);
  const answers = etcd === "none" ? null : flag(etcd === "answers");
  sheet.gauge("site_etcd_answers", "1: etcd answers.", answers);
  const refused = settings === null ? null : flag(settings.error !== null);
  sheet.gauge("site_settings_refused", "1: what etcd says last is not in force.", refused);
}

function replicationPart(sheet: Sheet, { replication }: LinkMetricSources): void {
  if (replication === null) return;
  const { inSync, isAlone, peers, counters } = replication;
  sheet.gauge("peers_in_sync", "Peers that have what is acknowledged.", inSync.length);
  sheet.gauge("peers_alone", "1: a peer is wanted, and none is in sync.", flag(isAlone));
  const lags: Samples = peers.map(({ id, lagMs }) => [{ peer: id }, seconds(lagMs)]);
  sheet.gauge("peer_lag_seconds", "How far a peer's copy is behind.", lags);
  sheet.counter("peers_sync_lost", "Times that a peer fell behind.", counters.syncLost);
  const failures: Samples = Object.entries(counters.failures).map(([code, n]) => [{ code }, n]);
  sheet.counter(
    "peer_failures",
    "Connections with peers that failed, ended or were refused.",
    failures,
  );
  const forgotten = "Peers given up, because they held back too much.";
  sheet.counter("peers_forgotten", forgotten, counters.cursorsForgotten);
  sheet.counter("replica_full", "Times that a copy here was full.", counters.replicaFull);
  const missed = "Messages that a copy here will never have.";
  sheet.counter("replica_missed", missed, counters.seqsMissed);
  const ended = "Sessions whose end here was forgotten for want of room.";
  sheet.counter("session_homes_forgotten", ended, counters.homesForgotten);
}

function connected(link: LinkSources | null): number | null {
  return link === null ? null : flag(link.state === "connected");
}

function open(link: LinkSources | null): number | null {
  return link === null ? null : flag(link.breaker === "open");
}
