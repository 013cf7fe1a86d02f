import type { EtcdEntry } from "./etcd-port.ts";

/**
 * What stands in etcd under fieldgate/SITE/, as JSON:
 *
 *   election/epoch           who is, or was last, primary, under which epoch; and after whom, when the place was handed over.
 *                            Stays for ever
 *   election/standing/LEASE  a gateway that is primary or could be at once. Hangs on that lease: primaryTtlSeconds
 *   gateways/ID              a gateway of the site. Hangs on its registration: registrationTtlSeconds
 *
 * The primary is the one whose lease `epoch` names, as long as that lease stands; but as long as the lease of the one
 * before it stands, it is that one (holder.ts). Anything else under these keys is garbage: it is ignored and counted.
 */
export interface Keys {
  readonly election: string;
  readonly epoch: string;
  readonly gateways: string;
  standing(lease: string): string;
  gateway(id: string): string;
}

export function keysOf(site: string): Keys {
  const election = `fieldgate/${site}/election/`;
  const gateways = `fieldgate/${site}/gateways/`;
  return {
    election,
    epoch: `${election}epoch`,
    gateways,
    standing: (lease) => `${election}standing/${lease}`,
    gateway: (id) => `${gateways}${id}`,
  };
}

/** An epoch, and whom it was given to. */
export interface Reign {
  readonly epoch: number;
  readonly gateway: string;
  readonly lease: string;
}

/** The highest one. */
export interface Holder extends Reign {
  /** The one who has named it, and acts until its lease has ended. */
  readonly after?: Reign;
}

/** A gateway of the site as it has registered. */
export interface Member {
  readonly id: string;
  /** Random, of this start of the gateway. */
  readonly run: string;
  /** Where its peers reach it. Empty when it says nothing. */
  readonly address: string;
  readonly priority: number;
  readonly version: string;
  /** The id of its journal. */
  readonly journal: string;
  /** The last durable seq of its journal, at most a second old. */
  readonly offset: number;
  /** How many entries of other gateways' journals it has. */
  readonly replicated: number;
}

/** Beyond this an epoch is a mistake: a new one each millisecond would take 35,000 years. */
const EPOCH_MAX = 2 ** 50;
const TEXT_MAX = 256;

export function isEpoch(value: unknown): value is number {
  return isCount(value) && value <= EPOCH_MAX;
}

/** What the key `epoch` says, or null when that is garbage. */
export function readHolder(entry: EtcdEntry): Holder | null {
  const { after, ...last } = fields(entry.value);
  const holder = readReign(last);
  if (holder === null || after === undefined) return holder;
  const before = readReign(after);
  return before === null || before.epoch >= holder.epoch ? null : { ...holder, after: before };
}

function readReign(value: unknown): Reign | null {
  if (typeof value !== "object" || value === null) return null;
  const { epoch, gateway, lease } = value as Record<string, unknown>;
  return isEpoch(epoch) && isText(gateway) && isLease(lease) ? { epoch, gateway, lease } : null;
}

export function writeHolder(holder: Holder): string {
  return JSON.stringify(holder);
}

/** The lease and the gateway that stand there, or null when that is garbage: also when it hangs on another lease. */
export function readStanding(
  entry: EtcdEntry,
  keys: Keys,
): { readonly lease: string; readonly gateway: string } | null {
  const { gateway } = fields(entry.value);
  if (entry.key !== keys.standing(entry.lease) || !isText(gateway)) return null;
  return { lease: entry.lease, gateway };
}

export function writeStanding(gateway: string): string {
  return JSON.stringify({ gateway });
}

/** The registration, or null when that is garbage: also when it hangs on no lease, and so would never go. */
export function readMember(entry: EtcdEntry, keys: Keys): Member | null {
  const id = entry.key.slice(keys.gateways.length);
  const { run, address, priority, version, journal, offset, replicated } = fields(entry.value);
  const sound =
    isText(id) &&
    isText(run) &&
    isText(version) &&
    isText(journal) &&
    isCount(priority) &&
    isCount(offset) &&
    isCount(replicated) &&
    typeof address === "string" &&
    address.length <= TEXT_MAX &&
    entry.lease !== "0" &&
    !id.includes("/");
  return sound ? { id, run, address, priority, version, journal, offset, replicated } : null;
}

export function writeMember({ id: _id, ...rest }: Member): string {
  return JSON.stringify(rest);
}

function fields(value: string): Record<string, unknown> {
  try {
    const read: unknown = JSON.parse(value);
    return typeof read === "object" && read !== null ? (read as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}

function isText(value: unknown): value is string {
  return typeof value === "string" && value !== "" && value.length <= TEXT_MAX;
}

/** A lease's id is a positive 64-bit number in decimal. */
function isLease(value: unknown): value is string {
  return typeof value === "string" && /^[1-9]\d{0,18}$/.test(value);
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}
