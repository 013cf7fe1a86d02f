/** What the line is made of. */
export interface StatusLineSources {
  readonly journal: { readonly state: string; readonly error: string | null };
  readonly broker: { readonly connections: number };
  readonly cluster: { readonly role: string };
  readonly uplink: { readonly state: string } | null;
  readonly ledger: Readonly<Record<string, { readonly queued: number }>>;
}

/** The gateway in one line, for `systemctl status`. A store that fails is said first. */
export function statusLine({
  journal,
  broker,
  cluster,
  uplink,
  ledger,
}: StatusLineSources): string {
  const queued = Object.values(ledger).reduce((sum, lane) => sum + lane.queued, 0);
  const parts = [
    ...(journal.state === "open" ? [] : [`store ${journal.state}: ${journal.error ?? ""}`]),
    cluster.role,
    `uplink ${uplink?.state ?? "none"}`,
    `${queued} queued`,
    `${broker.connections} clients`,
  ];
  // One line: a datagram with a line feed would be a second field.
  return parts.join(", ").replaceAll(/\s+/g, " ");
}
