import type { FieldgateError } from "../base/errors.ts";
import type { Arrival } from "./arrival.ts";
import type { Protocol } from "./protocol.ts";

/** Port: the cloud, as the downlink sees it. mqtt-command-cloud.ts implements it. */
export interface CommandCloud {
  /** Begins to connect and returns at once. `opened` at most once, `closed` at most once, nothing after `close`. */
  open(endpoint: string, listener: CommandListener): CommandConnection;
}

export interface CommandListener {
  opened(terms: CommandTerms): void;
  arrived(arrival: Arrival): void;
  /** PUBREL: the cloud has taken our PUBREC and will not send the message of that packet identifier again. */
  released(packetId: number): void;
  /** The cloud has taken an answer, or refused it (a reason code of 0x80 and above). */
  answered(reasonCode: number): void;
  closed(error: FieldgateError): void;
}

export interface CommandTerms {
  readonly protocol: Protocol;
  /** The cloud still has the session, with its subscriptions and what it holds for us [MQTT-3.2.2-2]. */
  readonly sessionPresent: boolean;
  /** How many answers may be in flight. */
  readonly receiveMax: number;
}

export interface CommandConnection {
  /** Resolves with the reason code of each subscription: below 0x80 it stands. */
  subscribe(subscriptions: readonly CloudSubscription[]): Promise<readonly number[]>;
  unsubscribe(filters: readonly string[]): Promise<void>;
  /** PUBACK, PUBREC or PUBCOMP. Leaves in the order of the calls, among the answers too. */
  acknowledge(type: "puback" | "pubrec" | "pubcomp", packetId: number, reasonCode: number): void;
  /** Publishes at QoS 1. False when the cloud takes no packet as long as this. */
  answer(topic: string, payload: Uint8Array, correlation: Uint8Array | null): boolean;
  flush(): void;
  /** While it is held nothing more is read: the cloud feels it as a full line. */
  hold(isHeld: boolean): void;
  close(how: "politely" | "at once"): Promise<void>;
}

export interface CloudSubscription {
  readonly filter: string;
  readonly qos: 1 | 2;
}
