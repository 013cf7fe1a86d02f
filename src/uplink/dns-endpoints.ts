import { Resolver } from "node:dns/promises";
import { FieldgateError } from "../base/errors.ts";
import type { Candidate } from "./endpoint-book.ts";
import { shownEndpoint } from "./endpoints.ts";

/** Looks up the SRV records of a name. */
export type SrvLookup = (name: string) => Promise<readonly SrvRecord[]>;

export interface SrvRecord {
  readonly name: string;
  readonly port: number;
  readonly priority: number;
  readonly weight: number;
}

/** By the resolvers of the machine; each is given up after a few seconds. */
export const lookupSrv: SrvLookup = (name) =>
  new Resolver({ timeout: 2000, tries: 2 }).resolveSrv(name);

export function isLookedUp(endpoint: string): boolean {
  return endpoint.startsWith("srv+");
}

/**
 * The brokers behind the endpoints of the configuration: those with an address as they are, `srv+mqtts://_mqtt._tcp.example.com`
 * as the records of that name say now, with the user and password of the URL.
 *
 * With TLS only hosts below the name's own domain count (`*.example.com`): DNS is not protected, and a certificate proves
 * its host's name, not that the host was meant.
 * @throws FieldgateError ERR_UPLINK_LOOKUP when a name has no usable record
 */
export async function findCandidates(
  endpoints: readonly string[],
  lookup: SrvLookup,
): Promise<readonly Candidate[]> {
  const found = await Promise.all(
    endpoints.map(async (endpoint, place) => {
      if (!isLookedUp(endpoint)) return [{ endpoint, place, priority: 0, weight: 1 }];
      const records = await recordsOf(endpoint, lookup);
      return records.map((record) => ({ ...record, place, endpoint: withHost(endpoint, record) }));
    }),
  );
  return found.flat();
}

/** `srv+mqtts://user:password@name` as `mqtts://user:password@host:port`. */
function withHost(endpoint: string, { name, port }: SrvRecord): string {
  const { protocol, username, password } = new URL(endpoint);
  const user = username === "" ? "" : `${username}${password === "" ? "" : `:${password}`}@`;
  return `${protocol.slice("srv+".length)}//${user}${name.replace(/\.$/, "")}:${port}`;
}

async function recordsOf(endpoint: string, lookup: SrvLookup): Promise<readonly SrvRecord[]> {
  const { hostname, protocol } = new URL(endpoint);
  let records: readonly SrvRecord[];
  try {
    records = await lookup(hostname);
  } catch (cause) {
    throw unusable("the brokers of a name cannot be looked up", endpoint, { cause });
  }
  const domain = hostname.replace(/^(?:_[^.]+\.)+/, "").toLowerCase();
  const usable = records.filter(({ name }) => {
    const host = name.replace(/\.$/, "").toLowerCase();
    if (host === "") return false; // "decidedly not available" (RFC 2782)
    return protocol !== "srv+mqtts:" || host === domain || host.endsWith(`.${domain}`);
  });
  if (usable.length > 0) return usable;
  const details = { records: records.map(({ name }) => name), domain };
  throw unusable("no broker of a name can be used: none lies in its domain", endpoint, { details });
}

function unusable(
  message: string,
  endpoint: string,
  { cause, details = {} }: { cause?: unknown; details?: Record<string, unknown> },
): FieldgateError {
  return new FieldgateError("ERR_UPLINK_LOOKUP", message, {
    ...(cause === undefined ? {} : { cause }),
    details: { endpoint: shownEndpoint(endpoint), ...details },
  });
}
