import type { FieldgateError } from "../base/errors.ts";
import type { Rows } from "../base/rows.ts";
import type { Watchable } from "../base/watchable.ts";
import type { Message } from "../mqtt/message.ts";
import type { OfficeNote } from "./office.ts";

/** What replication needs of others. gateway.ts introduces them. */

/** The blocks of a journal, as they are; see journal/journal.ts for what each call promises. */
interface Blocks {
  readonly trimmedSeq: number;
  read(afterSeq: number, bytesMax: number): Promise<Stored>;
  neededSeq(...except: readonly string[]): number;
  bytesAfter(seq: number): Promise<number>;
  take(value: Buffer): { readonly isNews: boolean; readonly missed: number };
}

export interface Stored {
  readonly entries: readonly StoredBlock[];
  readonly throughSeq: number;
}

export interface StoredBlock {
  /** That of its last entry. */
  readonly seq: number;
  readonly value: Buffer;
}

/** A journal of this gateway, or its copy of another one's. */
export interface CopiedJournal {
  readonly id: string;
  /** The last one taken, durable or not. */
  readonly lastSeq: number;
  readonly durableSeq: number;
  readonly laneTotals: readonly number[];
  readonly storeBytes: number;
  readonly copies: Blocks;
  onCommit(listener: () => void): () => void;
  cursor(name: string): Cursor;
  cursorNames(): readonly string[];
  forgetCursor(name: string): void;
  rows(space: string): {
    get(key: string): Promise<Uint8Array | undefined>;
    put(key: string, value: Uint8Array): Promise<void>;
  };
}

/** A copy whose messages are read. */
export interface FedJournal
  extends Pick<CopiedJournal, "id" | "durableSeq" | "onCommit" | "cursor"> {
  committed(): Promise<void>;
  rows(space: string): Rows;
  read(
    afterSeq: number,
    limits: { readonly messagesMax: number; readonly bytesMax: number },
  ): Promise<{
    readonly entries: readonly {
      readonly seq: number;
      readonly lane: number;
      readonly wallMs: number;
      readonly message: Message;
    }[];
    readonly throughSeq: number;
  }>;
}

export interface Cursor {
  readonly seq: number;
  readonly count: number;
  readonly dropped: Readonly<Record<string, number>>;
  move(throughSeq: number, count: number, dropped?: Readonly<Record<string, number>>): void;
}

/** The copies of other gateways' journals. */
export interface Replicas {
  all(): readonly CopiedJournal[];
  /** The replica of that journal, made when it is not there. */
  open(journal: string): Promise<CopiedJournal>;
  /** Gives the replica up with all that it holds. */
  remove(journal: string): Promise<void>;
}

/** A gateway of the site, as it has registered. */
export interface Peer {
  readonly id: string;
  /** host:port, or empty when nobody listens there. */
  readonly address: string;
  readonly journal: string;
}

export interface SiteView {
  readonly members: Watchable<readonly Peer[]>;
  /** The highest epoch that this gateway has seen; 0 when none. */
  epoch(): number;
  /** A peer has seen a higher epoch. */
  outdated(epoch: number): void;
  /**
   * The connection to that gateway broke. What is returned is to be called when its process is known to have ended: it cannot be
   * acting as primary any more.
   */
  lost(gateway: string): () => void;
  /** That gateway has told how far a hand-over between it and this one is. */
  told(gateway: string, note: OfficeNote): void;
  /** Whether this gateway carries the messages of the site to the cloud now: then its own positions are the newest. */
  acts(): boolean;
}

/** Those who are subscribed at this gateway, as messages that are not kept reach them from peers. */
export interface Subscribers {
  /** Their filters. The same array as long as they are the same; at most `FILTERS_MAX`. */
  filters(): readonly string[];
  take(message: Message, gateway: string): void;
  /** What peers have subscribers for may have changed. */
  rerouted(): void;
  /** A client has come to that gateway: it is let go here. */
  claimed(client: string, gateway: string): void;
  /** A peer has missed something that is not in our journal any more, or may have. */
  missed(): void;
}

/** The way between gateways. tls-network.ts implements it; simulations bring one that fails on purpose. */
export interface PeerNetwork {
  /**
   * Begins to connect, and returns at once. Whoever answers there must be that gateway. It closes with ERR_PEER_GONE when the
   * machine answers that nobody listens there.
   */
  dial(address: string, gateway: string, receiver: ChannelReceiver): Channel;
  /**
   * Takes connections. `accept` is given each one, with the id in the certificate of the gateway that made it; `refused` is told of
   * each that came to nothing before that.
   * @returns where it listens, host:port
   * @throws FieldgateError ERR_LISTEN, ERR_CERTIFICATE
   */
  listen(
    accept: (channel: Channel, gateway: string) => ChannelReceiver,
    refused: (error: FieldgateError) => void,
  ): Promise<string>;
  /** Closes everything. */
  close(): Promise<void>;
}

/** A connection between two gateways: frames arrive whole and in order, or it closes. */
export interface Channel {
  /** Handed over and not on its way yet. */
  readonly pendingBytes: number;
  /** Only after `opened`. What is sent with one call leaves together. */
  send(...frames: readonly Buffer[]): void;
  /** Stops and goes on reading: what was read already still comes. */
  pause(): void;
  resume(): void;
  /** Sends what was handed over, then closes. `closed` is not told any more. */
  close(): void;
}

export interface ChannelReceiver {
  opened(): void;
  frame(frame: Buffer): void;
  /** Once, and nothing after it. */
  closed(error: FieldgateError): void;
}

/** Makes batches smaller, and restores them. */
export interface Codec {
  pack(raw: Buffer): Promise<Buffer>;
  /** @throws Error when it is nothing that `pack` made, or of another length */
  unpack(packed: Buffer, rawBytes: number): Promise<Buffer>;
}
