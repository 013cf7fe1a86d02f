import type { CertificateIdentity } from "./ports.ts";

/** What the broker asks before it does a client's bidding. gateway.ts introduces the one who answers. */
export interface Access {
  /** What to do with a message that its publisher may not publish: nothing goes anywhere; is the client let go too? */
  readonly whenDenied: "drop" | "disconnect";
  /** What the cloud may publish here. */
  readonly downlink: Pick<Rights, "mayPublish">;
  /** Finds out who a client is, method by method. Never rejects. */
  authenticate(attempt: ConnectAttempt): Verdict | Promise<Verdict>;
  /** The rights that someone has now whose session an earlier process has left; null: one who never said who it is. */
  rightsOf(principal: Principal | null, clientId: string): Rights;
  /** The rights as they are now, after a change; null when the client may not be here any more. */
  renewed(rights: Rights): Rights | null;
  /** Whether what let the client in has ended, a token for example. */
  hasEnded(rights: Rights): boolean;
  /** Calls `listener` after each change of users, roles or rules, until the returned function is called. */
  onChange(listener: () => void): () => void;
}

/** A CONNECT, and the connection on which it came. */
export interface ConnectAttempt {
  readonly listener: string;
  readonly address: string;
  readonly loopback: boolean;
  readonly certificate: CertificateIdentity | null;
  readonly clientId: string;
  readonly username: string | undefined;
  readonly password: Buffer | undefined;
  /** Of the will; null without one. */
  readonly willTopic: string | null;
}

/** CONNACK return codes (MQTT 3.1.1, table 3.1). */
export type ReturnCode = 0 | 2 | 3 | 4 | 5;

export type Verdict =
  | { readonly rights: Rights }
  | { readonly rights: null; readonly code: Exclude<ReturnCode, 0>; readonly reason: string };

/** Whom a client was found to be. Kept with its session, so it is plain JSON without secrets. */
export interface Principal {
  /** Null for one who has not said. */
  readonly user: string | null;
  /** What proved it. */
  readonly method: string;
  readonly roles: readonly string[];
  /** What rules may refer to. */
  readonly claims: Readonly<Record<string, string>>;
}

/** What one client may do, as it stands: a change makes new ones. Asking again about the same topic costs next to nothing. */
export interface Rights {
  readonly clientId: string;
  readonly principal: Principal;
  mayPublish(topic: string): boolean;
  /** Whether a filter, shared or not, may be subscribed to. What matches it and may not be received is left out later. */
  maySubscribe(filter: string): boolean;
  mayReceive(topic: string): boolean;
}

/** Of a client that may not be here any more. */
export const NO_RIGHTS: Rights = {
  clientId: "",
  principal: { user: null, method: "none", roles: [], claims: {} },
  mayPublish: () => false,
  maySubscribe: () => false,
  mayReceive: () => false,
};
