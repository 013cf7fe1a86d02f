import { randomUUID } from "node:crypto";
import type { EventEmitter } from "node:events";
import { Aedes, type AedesOptions, type AuthenticateError, type Client } from "aedes";
import { errorFields } from "../base/errors.ts";
import type { Log } from "../base/log.ts";
import { ownCopy } from "../base/own-copy.ts";
import type { Message, QoS } from "../mqtt/message.ts";
import { shareOf, subscriptionError } from "../mqtt/share.ts";
import { topicLevels } from "../mqtt/topic.ts";
import type { ReturnCode } from "./access.ts";
import type { Connection } from "./connection.ts";
import { ControlStream } from "./control-stream.ts";
import type { ControlPersistence } from "./level-persistence.ts";
import { keepNoNumbers } from "./mqtt-packet-numbers.ts";

/** What aedes decides or needs to have decided about a connection's life. */
export interface ControlWorld {
  readonly topicsMax: { readonly topicLevelsMax: number; readonly topicBytesMax: number };
  /** Never rejects. */
  authenticate(connection: Connection, connect: ConnectClaims): ReturnCode | Promise<ReturnCode>;
  /** The client is in, and an earlier connection of it is closed. Returns whether a session was there. */
  registered(connection: Connection, clean: boolean): boolean;
  /** CONNACK is written: messages may flow. */
  ready(connection: Connection): void;
  /** Whether the session may have one more subscription, and the group one more member. */
  maySubscribe(connection: Connection, filter: string): boolean;
  /** Resolves when the retained messages are given; null: they are. */
  subscribed(connection: Connection, granted: readonly Granted[]): Promise<void> | null;
  unsubscribed(connection: Connection, filters: readonly string[]): void;
  /** Whether the right is there; of the topic itself publishWill says more. */
  mayPublishWill(connection: Connection, topic: string): boolean;
  /** A will. Resolves when it is kept, or dropped because nobody may publish there. */
  publishWill(will: Message, clientId: string): Promise<void>;
}

export interface ConnectClaims {
  readonly clientId: string;
  readonly clean: boolean;
  readonly willTopic: string | null;
  readonly username: string | undefined;
  readonly password: Buffer | undefined;
}

export interface Granted {
  readonly filter: string;
  readonly qos: QoS;
}

/** The control plane: aedes, with its messages taken out. See docs/decisions for why. */
export class AedesControl {
  readonly #world: ControlWorld;
  readonly #log: Log;
  readonly #persistence: ControlPersistence;
  #broker: Aedes | null = null;
  #closing = false;

  constructor(persistence: ControlPersistence, world: ControlWorld, log: Log) {
    this.#persistence = persistence;
    this.#world = world;
    this.#log = log;
  }

  async start(): Promise<void> {
    keepNoNumbers();
    const broker = await Aedes.createBroker(this.#options());
    broker.on("client", (client) => {
      const connection = connectionOf(client);
      if (connection === null) return;
      connection.sessionPresent = this.#world.registered(connection, client.clean);
    });
    broker.on("clientReady", (client) => {
      const connection = connectionOf(client);
      if (connection !== null) this.#world.ready(connection);
    });
    broker.on("subscribe", (subscriptions, client) => {
      const connection = connectionOf(client);
      if (connection === null) return;
      const granted = subscriptions
        .filter(({ qos }) => qos <= 2)
        .map(({ topic, qos }) => ({ filter: topic, qos: qos as QoS }));
      connection.granted(new Set(granted.map(({ filter }) => filter)));
      const giving = this.#world.subscribed(connection, granted);
      if (giving === null) connection.proceed();
      else void giving.then(() => connection.proceed());
    });
    broker.on("unsubscribe", (filters, client) => {
      const connection = connectionOf(client);
      if (connection === null || client.closed) return;
      this.#world.unsubscribed(connection, filters);
      connection.proceed();
    });
    broker.on("clientError", (client, error) => this.#failed(client, error));
    broker.on("connectionError", (client, error) => this.#failed(client, error));
    // An error that nobody listens to would end the gateway. The package's types do not know of it.
    const emitter: EventEmitter = broker;
    emitter.on("error", (error) => this.#log.error("aedes failed", errorFields(error)));
    this.#broker = broker;
  }

  /** Begins aedes' side of a connection. Its CONNECT is to be fed next. */
  open(connection: Connection): ControlStream {
    const stream = new ControlStream(connection);
    if (this.#broker === null || this.#closing) stream.destroy();
    else this.#broker.handle(stream);
    return stream;
  }

  /** Closes all clients; wills of those who are connected are published. */
  async stop(): Promise<void> {
    const broker = this.#broker;
    this.#broker = null;
    this.#closing = true;
    if (broker !== null) await new Promise<void>((resolve) => broker.close(resolve));
  }

  #options(): AedesOptions {
    const world = this.#world;
    return {
      id: randomUUID(),
      mq: this.#mq(),
      persistence: this.#persistence,
      concurrency: 1,
      queueLimit: 8,
      // Both are the connection's own: it sees messages, which aedes does not.
      connectTimeout: 2_147_483_647,
      drainTimeout: 0,
      maxTopicLevels: TOPIC_LEVELS_ANY, // authorizeSubscribe refuses them one by one; aedes would close the connection
      preConnect: (client, packet, done) => {
        const connection = connectionOf(client);
        if (connection === null) return done(new Error("gone"), false);
        connection.silenceMsMax = (packet.keepalive ?? 0) * 1500;
        packet.keepalive = 0;
        if (packet.will) packet.will.payload = ownCopy(packet.will.payload as Buffer);
        claims.set(client, {
          given: packet.clientId !== "" && packet.clientId !== undefined,
          clean: packet.clean !== false,
          will: packet.will ?? null,
        });
        packet.clientId ||= `auto-${randomUUID()}`;
        done(null, true);
      },
      authenticate: (client, username, password, done) => {
        const connection = connectionOf(client);
        const claim = claims.get(client);
        if (connection === null || claim === undefined) return done(refusal(3), false);
        if (!claim.given && !claim.clean) return done(refusal(2), false); // [MQTT-3.1.3-8]
        const { clean, will } = claim;
        const willTopic = will?.topic ?? null;
        const found = { clientId: client.id, clean, willTopic, username, password };
        const answer = (code: ReturnCode) => {
          // It is stored with its will, which may have to be judged when nobody is here to ask.
          if (will !== null) Object.assign(will, { principal: connection.rights.principal });
          if (code === 0) done(null, true);
          else done(refusal(code), false);
        };
        const code = world.authenticate(connection, found);
        if (typeof code === "number") answer(code);
        else void code.then(answer);
      },
      authorizePublish: (client, { topic }, done) => {
        const connection = client && connectionOf(client);
        const allowed = connection !== null && world.mayPublishWill(connection, topic);
        done(allowed ? null : new Error("not allowed"));
      },
      authorizeSubscribe: (client, subscription, done) => {
        const connection = connectionOf(client);
        const { topic } = subscription;
        const granted =
          connection !== null &&
          subscriptionError(topic) === null &&
          topicLevels(shareOf(topic)?.filter ?? topic) <= world.topicsMax.topicLevelsMax &&
          Buffer.byteLength(topic) <= world.topicsMax.topicBytesMax &&
          world.maySubscribe(connection, topic);
        if (!granted) this.#persistence.refuse(subscription);
        done(null, granted ? subscription : null);
      },
    };
  }

  /** aedes' emitter: routing is ours, so only what aedes itself publishes comes through here. */
  #mq() {
    return {
      on(_topic: string, _listener: unknown, done?: () => void) {
        done?.();
      },
      removeListener(_topic: string, _listener: unknown, done?: () => void) {
        done?.();
      },
      emit: (packet: Message & { clientId?: string }, done?: (error?: unknown) => void) => {
        // Its notices to other aedes brokers are of no client; there are no others.
        if (packet.clientId === undefined) done?.();
        else this.#world.publishWill(packet, packet.clientId).then(() => done?.(), done);
      },
      close(done: () => void) {
        done();
      },
    };
  }

  #failed(client: Client, error: Error): void {
    this.#log.debug("client failed", { clientId: client.id, ...errorFields(error) });
  }
}

const TOPIC_LEVELS_ANY = 65_536;

/** What is read off CONNECT before aedes asks who it is. */
const claims = new WeakMap<
  Client,
  Pick<ConnectClaims, "clean"> & {
    readonly will: { readonly topic: string } | null;
    /** The client has given an id of its own. */
    readonly given: boolean;
  }
>();

function connectionOf(client: Client): Connection | null {
  return client.conn instanceof ControlStream ? (client.conn.peer as Connection) : null;
}

function refusal(returnCode: ReturnCode): AuthenticateError {
  return Object.assign(new Error("refused"), { returnCode }) as AuthenticateError;
}
