import type { CertificateNames } from "./certificates.ts";
import type { Principal } from "./principal.ts";

/** A CONNECT, and the connection on which it came. */
export interface ConnectAttempt {
  readonly listener: string;
  readonly address: string;
  readonly loopback: boolean;
  readonly certificate: CertificateNames | null;
  readonly clientId: string;
  readonly username: string | undefined;
  readonly password: Buffer | undefined;
  /** Of the will; null without one. */
  readonly willTopic: string | null;
}

/** What a method found. `stamp`: what the credentials were, so that a change of them is seen. */
export type Found =
  | { readonly principal: Principal; readonly endsMs?: number; readonly stamp?: string }
  | Refused;

export interface Refused {
  readonly principal: null;
  /** CONNACK return code (MQTT 3.1.1, table 3.1). */
  readonly code: 3 | 4 | 5;
  readonly reason: string;
}

export function refused(reason: string, code: Refused["code"] = 4): Refused {
  return { principal: null, code, reason };
}
