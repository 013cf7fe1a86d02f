import { createHash } from "node:crypto";
import type { QoS } from "../mqtt/message.ts";
import { property, userProperty } from "./properties.ts";

/** A message as it came from the cloud. */
export interface Arrival {
  readonly topic: string;
  /** Null when it was too long to be taken: it was thrown away as it came. */
  readonly payload: Uint8Array | null;
  readonly qos: QoS;
  readonly retain: boolean;
  /** The DUP flag: an earlier attempt may have arrived [MQTT-3.3.1-1]. */
  readonly duplicate: boolean;
  /** 0 with QoS 0. */
  readonly packetId: number;
  /** Null under MQTT 3.1.1, which has none. */
  readonly properties: ArrivalProperties | null;
}

/** Properties of a PUBLISH (MQTT 5, section 3.3.2.3), by the names that parsers give them. */
export interface ArrivalProperties {
  readonly payloadFormatIndicator?: boolean;
  /** In seconds, of which the cloud has taken off what it has waited. */
  readonly messageExpiryInterval?: number;
  readonly contentType?: string;
  readonly responseTopic?: string;
  readonly correlationData?: Uint8Array;
  readonly userProperties?: Readonly<Record<string, string | readonly string[]>>;
}

/** The first user property of that name. */
export function userValue(properties: ArrivalProperties | null, name: string): string | null {
  const all = properties?.userProperties;
  if (all === undefined || !Object.hasOwn(all, name)) return null;
  const value = all[name];
  return (typeof value === "string" ? value : value?.[0]) ?? null;
}

/** 22 characters that stand for the parts: what is remembered has one size, however long a name is. */
export function digestOf(...parts: readonly (string | Uint8Array)[]): string {
  const hash = createHash("sha256");
  for (const part of parts) {
    hash.update(`${part.length}:`);
    hash.update(part);
  }
  return hash.digest("base64url").slice(0, 22);
}

/** The properties as they stand on the wire, for those here who get the message. */
export function wireProperties(properties: ArrivalProperties | null): Buffer | null {
  if (properties === null) return null;
  const { payloadFormatIndicator, messageExpiryInterval, userProperties } = properties;
  const parts: Buffer[] = [];
  if (payloadFormatIndicator !== undefined) {
    parts.push(Buffer.from([0x01, payloadFormatIndicator ? 1 : 0]));
  }
  if (messageExpiryInterval !== undefined) {
    const expiry = Buffer.from([0x02, 0, 0, 0, 0]);
    expiry.writeUInt32BE(messageExpiryInterval, 1);
    parts.push(expiry);
  }
  if (properties.contentType !== undefined) parts.push(property(0x03, properties.contentType));
  if (properties.responseTopic !== undefined) parts.push(property(0x08, properties.responseTopic));
  if (properties.correlationData !== undefined) {
    parts.push(property(0x09, properties.correlationData));
  }
  for (const [name, values] of Object.entries(userProperties ?? {})) {
    for (const value of typeof values === "string" ? [values] : values) {
      parts.push(userProperty(name, value));
    }
  }
  return parts.length === 0 ? null : Buffer.concat(parts);
}
