import type { IClientOptions } from "mqtt";
import { FieldgateError } from "../base/errors.ts";
import type { UplinkConfig } from "../config/schema.ts";
import type { Address } from "./endpoints.ts";
import type { Credentials } from "./file-credentials.ts";
import type { PacketIds } from "./packet-ids.ts";
import type { Protocol, Rebuff } from "./protocol.ts";
import { refusesVersion } from "./reasons.ts";

/** What every connection to the cloud is made of. */
export interface ConnectSetup {
  readonly address: Address;
  readonly protocol: Protocol;
  readonly credentials: Credentials;
  readonly options: UplinkConfig;
}

/** The token of identifiers that the client takes for its own packets. */
export const CLIENTS_OWN = 0x7fffffff;

/** The options of the package's client that all our connections share: address, who we are, our own identifiers. */
export function clientOptions(setup: ConnectSetup, ids: PacketIds): IClientOptions {
  const { address, options, credentials } = setup;
  const username = address.username ?? options.username;
  const password = address.password ?? credentials.password;
  return {
    protocol: address.tls ? "mqtts" : "mqtt",
    host: address.host,
    port: address.port,
    protocolVersion: setup.protocol === "5" ? 5 : 4,
    keepalive: options.keepaliveSeconds,
    reconnectPeriod: 0,
    connectTimeout: NEVER_MS,
    resubscribe: false,
    messageIdProvider: {
      allocate: () => ids.take(CLIENTS_OWN),
      getLastAllocated: () => ids.last,
      register: () => false,
      deallocate: (id) => ids.release(id),
      clear() {},
    },
    ...(username === undefined ? {} : { username }),
    ...(password === null ? {} : { password }),
    ...(address.tls ? tlsOptions(credentials) : {}),
  };
}

/** What a failure before the CONNACK says of the protocol's version. */
export function rebuffOf(cause: Error | null): Rebuff {
  const code: unknown = cause !== null && "code" in cause ? cause.code : null;
  if (typeof code === "number") return refusesVersion(code) ? "refused" : "unrelated";
  return code === null || code === "ECONNRESET" || code === "EPIPE" ? "hung up" : "unrelated";
}

export function reasonError(what: string, reasonCode: number): FieldgateError {
  return new FieldgateError("ERR_UPLINK_REFUSED", what, { details: { reasonCode } });
}

/** The client's own timeouts are out of the way: ours run on the Clock. */
const NEVER_MS = 2 ** 31 - 1;

function tlsOptions({ ca, cert, key }: Credentials): IClientOptions {
  return {
    rejectUnauthorized: true,
    ...(ca === null ? {} : { ca }),
    ...(cert === null ? {} : { cert }),
    ...(key === null ? {} : { key }),
  };
}
