import type { FieldgateError } from "../base/errors.ts";
import type { Protocol } from "./protocol.ts";
import type { SourceEntry } from "./source.ts";

/** Port: the cloud, as the uplink sees it. mqtt-cloud.ts implements it; simulations bring one that fails on purpose. */
export interface Cloud {
  /**
   * Begins to connect and returns at once. The listener is called later, never from within this call: `opened` at most
   * once, `closed` exactly once unless `close` came first, and nothing after either.
   */
  open(endpoint: string, listener: CloudListener): CloudConnection;
}

export interface CloudListener {
  opened(terms: CloudTerms): void;
  /** The cloud has taken over the message that was sent with this token. */
  acknowledged(token: number): void;
  /** The cloud will never take this message: sending it again would be refused again. */
  refused(token: number, reason: DropReason): void;
  /** The cloud has sent a packet that nobody has asked for, which was thrown away. */
  unexpected(): void;
  /** The connection failed, or could not be made, or the cloud wants us to come again later. */
  closed(error: FieldgateError): void;
}

export interface CloudTerms {
  readonly protocol: Protocol;
  /** How many messages may be in flight at once. */
  readonly receiveMax: number;
}

export interface CloudConnection {
  /**
   * Hands over a message; it leaves at the latest with `flush`. Returns its bytes on the wire, or why it cannot be sent
   * at all. Only after `opened`. Each token is free again once it was acknowledged or refused.
   */
  send(token: number, entry: SourceEntry, to: Destination): number | DropReason;
  flush(): void;
  /**
   * Nothing is sent for a while, and acknowledgements are waited for. A broker whose TCP gathers small packets (Nagle), as mosquitto's
   * does, keeps them until it hears from us, up to the 40 ms of a delayed acknowledgement: so it hears something.
   */
  prompt(): void;
  /** Ends the connection: politely when asked, and at once otherwise. Resolves when its socket is gone. */
  close(how: "politely" | "at once"): Promise<void>;
}

export interface Destination {
  readonly remoteTopic: string;
  readonly qos: 1 | 2;
  /** Seconds since its acceptance after which it is worth nothing; null: it is worth something for ever. */
  readonly expirySeconds: number | null;
}

/** Why a message was given up. Each is counted; none is silent. docs/uplink.md says what to do. */
export const DROP_REASONS = [
  "unrouted",
  "expired",
  "packet-too-large",
  "topic-invalid",
  "payload-invalid",
  "not-authorized",
  "operator",
] as const;
export type DropReason = (typeof DROP_REASONS)[number];
