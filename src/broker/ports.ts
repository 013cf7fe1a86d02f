import type { Rows } from "../base/rows.ts";
import type { Message } from "../mqtt/message.ts";

/** What the broker needs of others. gateway.ts introduces them. */

/** The part of the journal that the broker uses; see journal/journal.ts for what each call promises. */
export interface BrokerJournal {
  readonly lastSeq: number;
  readonly durableSeq: number;
  readonly pendingBytes: number;
  append(message: Message, lane: number, wallMs: number, queues: readonly SessionQueue[]): number;
  committed(): Promise<void>;
  onCommit(listener: (durableSeq: number) => void): () => void;
  queue(name: string, afterIndex?: number): SessionQueue;
  queueNames(): readonly string[];
  rows(space: string): Rows;
}

export interface SessionQueue {
  readonly name: string;
  readonly headIndex: number;
  readonly tailIndex: number;
  readonly bytes: number;
  read(
    afterIndex: number,
    limits: { readonly messagesMax: number; readonly bytesMax: number },
  ): Promise<readonly Queued[]>;
  acknowledge(throughIndex: number): void;
  drop(): void;
}

export interface Queued {
  readonly index: number;
  readonly entry: { readonly seq: number; readonly message: Message };
}

/** Whom the certificate of a client names. Verified against the clientCaFile of the listener. */
export interface CertificateIdentity {
  /** Of the subject; null when it has none, or more than one. */
  readonly commonName: string | null;
  /** DNS names, addresses, URIs and e-mail addresses. */
  readonly altNames: readonly string[];
  /** SHA-256 of the certificate. */
  readonly fingerprint: string;
}

/** A connection's bytes, whatever carries them: TCP, TLS, WebSocket. */
export interface Channel {
  /** Who is at the other end, for logs: "10.0.0.5:49152". */
  readonly remote: string;
  /** Where it is: "10.0.0.5". */
  readonly address: string;
  readonly loopback: boolean;
  /** Null when the client has shown no certificate. */
  readonly identity: CertificateIdentity | null;
  /** Bytes written that the system has not taken yet. */
  readonly pendingBytes: number;
  /** Since when something is on its way to us that is handed over only when it is whole, in monotonic ms; null: nothing is. */
  readonly unfinishedSinceMs: number | null;
  /** Sends the parts in order, as one. `done` is called when their memory is free again, sent or not. */
  write(parts: readonly Buffer[], done: () => void): void;
  pause(): void;
  resume(): void;
  /** The client is in: from now on it may send packets longer than CONNECT. */
  admitted(): void;
  /** Tells the receiver when nothing came and nothing was taken for `ms`; 0: does not. */
  watch(ms: number): void;
  /** Sends what was written, then closes. */
  end(): void;
  /** Closes at once. */
  destroy(): void;
  /** The one who is told; set before the first byte is read. */
  receiver: ChannelReceiver;
}

export interface ChannelReceiver {
  data(chunk: Buffer): void;
  /** What was pending has been taken. */
  drained(): void;
  /** The time of `watch` is over. */
  stalled(): void;
  /** What comes cannot be MQTT, for a reason that is counted: the connection is to be closed. */
  broken(reason: string): void;
  /** Nothing comes any more. Called once. */
  closed(): void;
}

/** The other gateways of the site, as far as sessions are theirs too. */
export interface Elsewhere {
  /**
   * A client may come in once this is 0: then its session is here, if it has one anywhere. 3: it cannot be had now; 5: it is another
   * user's.
   */
  come(client: string, clean: boolean, user: string | null): 0 | 3 | 5 | Promise<0 | 3 | 5>;
  /** Resolves when it is known what the others did while this gateway was away. */
  settled(): Promise<void>;
  /** A session has ended here, and not because its client said so: nobody is to look for it here. */
  ended(client: string): void;
  /** Whether another one has published a will that was left here. */
  hasPublished(will: string): Promise<boolean>;
}
