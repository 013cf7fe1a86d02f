import type { PublishFrame } from "../mqtt/publish-frame.ts";
import type { Connection } from "./connection.ts";
import type { ControlStream } from "./control-stream.ts";
import type { Publisher } from "./intake.ts";
import type { Turn } from "./outbox.ts";
import type { Route } from "./router.ts";
import type { Session } from "./session.ts";

/** What a connection needs of the broker. */
export interface ConnectionWorld {
  readonly turn: Turn;
  readonly packetBytesMax: number;
  readonly connectBytesMax: number;
  readonly inboundInflightMax: number;
  readonly packetFiltersMax: number;
  nowMs(): number;
  /** The same, for one from whom something has come. */
  heardMs(): number;
  readonly routes: { readonly version: number; route(topic: string): Route<Session> };
  /** Begins the control plane's side for a CONNECT that has come. */
  control(connection: Connection): ControlStream;
  admit(
    frame: PublishFrame,
    route: Route<Session>,
    publisher: Publisher,
    token: number,
  ): string | null;
  /** True when no more must be read for now; the broker resumes the connection. */
  mustPause(connection: Connection): boolean;
  /** The store has no room: what the connection holds is tried again, with `retry`. */
  holds(connection: Connection, bytes: number): void;
  /** What was to be sent has left. */
  drained(connection: Connection): void;
  /** Keeps that a QoS 2 message is held for the client, in the commit that gathers now; or forgets it. */
  keepReceived(session: Session, packetId: number): void;
  forgetReceived(session: Session, packetId: number): Promise<void>;
  /** It asks for so many filters, or gives them back: for how long not to read it then, in ms. */
  asked(connection: Connection, filters: number): number;
  /** Publishes or asks faster than allowed: not to be read for so long; the broker resumes it. */
  throttle(connection: Connection, ms: number): void;
  refused(reason: string): void;
  /** A message that the client may not publish is to end its connection. */
  readonly closesDenied: boolean;
  unexpected(connection: Connection, reason: string): void;
  ended(connection: Connection, reason: string): void;
}
