import { FieldgateError } from "../base/errors.ts";
import type { Service } from "../base/service.ts";
import type { Message } from "../mqtt/message.ts";
import { type PublishFrame, publishFrameOf } from "../mqtt/publish-frame.ts";
import { TopicTree } from "../mqtt/topic-tree.ts";
import { Absences } from "./absences.ts";
import type { ReturnCode } from "./access.ts";
import { Admission } from "./admission.ts";
import {
  AedesControl,
  type ConnectClaims,
  type ControlWorld,
  type Granted,
} from "./aedes-control.ts";
import { Arrivals } from "./arrivals.ts";
import { Backpressure } from "./backpressure.ts";
import { BrokerDesk } from "./broker-desk.ts";
import type { BrokerOptions, BrokerTools } from "./broker-options.ts";
import type { BrokerStatus } from "./broker-status.ts";
import { certifiedClients } from "./certified.ts";
import { isConnected } from "./clients.ts";
import { Connection } from "./connection.ts";
import type { ConnectionWorld } from "./connection-world.ts";
import { Counters } from "./counters.ts";
import { Intake } from "./intake.ts";
import { type ControlPersistence, levelPersistence } from "./level-persistence.ts";
import { LocalPublisher, notTaken, type Offered } from "./local-publisher.ts";
import { NetListener } from "./net-listener.ts";
import { Turn } from "./outbox.ts";
import { Overload } from "./overload.ts";
import type { Channel } from "./ports.ts";
import { Rates } from "./rates.ts";
import { Retained } from "./retained.ts";
import { RetainedReplay } from "./retained-replay.ts";
import { RetainedSources } from "./retained-sources.ts";
import { type Listener, Router } from "./router.ts";
import type { Session } from "./session.ts";
import { SessionEnds } from "./session-ends.ts";
import { Sessions } from "./sessions.ts";
import { ShareGroups } from "./share-groups.ts";
import { SiteDesk } from "./site-desk.ts";
import { Throttle } from "./throttle.ts";
import { Upkeep } from "./upkeep.ts";

/** The MQTT broker: connections and their control through aedes, messages through a data plane of our own. */
export class Broker implements Service, ConnectionWorld, ControlWorld {
  readonly name = "broker";
  readonly turn: Turn;
  readonly packetBytesMax: number;
  readonly connectBytesMax: number;
  readonly inboundInflightMax: number;
  readonly packetFiltersMax: number;
  readonly topicsMax: BrokerOptions;

  readonly #options: BrokerOptions;
  readonly #tools: BrokerTools;
  readonly #counters = new Counters();
  readonly routes: Router<Session>;
  readonly #retained: Retained;
  readonly #shares: ShareGroups;
  readonly #sessions: Sessions;
  readonly #ends: SessionEnds;
  readonly #admission: Admission;
  readonly #intake: Intake;
  readonly #persistence: ControlPersistence;
  readonly #control: AedesControl;
  readonly #listeners: NetListener[] = [];
  readonly #announced = new TopicTree<PublishFrame>();
  readonly #replay: RetainedReplay;
  readonly #arrivals: Arrivals;
  readonly #connections = new Set<Connection>();
  readonly #backpressure: Backpressure;
  readonly #overload: Overload;
  readonly #upkeep: Upkeep;
  readonly #rates: Rates;
  readonly #throttle = new Throttle<Connection>();
  /** For technicians. */
  readonly desk: BrokerDesk;
  /** For the other gateways of the site. */
  readonly site: SiteDesk;
  #unfollow: () => void = () => {};

  constructor(options: BrokerOptions, tools: BrokerTools) {
    const { journal, access, clock, log } = tools;
    const counters = this.#counters;
    this.#options = options;
    this.#tools = tools;
    this.packetBytesMax = options.packetBytesMax;
    this.connectBytesMax = options.connectBytesMax;
    this.inboundInflightMax = options.inboundInflightMax;
    this.packetFiltersMax = options.packetFiltersMax;
    this.topicsMax = options;
    this.#overload = new Overload(options, tools.memoryBytes, log);
    this.#arrivals = new Arrivals(options, clock, () => this.#overload.refuses);
    this.#rates = new Rates(options);
    this.turn = new Turn((task) => clock.afterTurn(task));
    this.routes = new Router(tools.laneOf, {
      ...options,
      ratesOf: (topic) => this.#rates.ofTopic(topic),
      ...(tools.beyond === undefined ? {} : { beyond: tools.beyond }),
    });
    const sources = new RetainedSources(journal.rows("retainer"), access, log);
    this.#retained = new Retained(journal.rows("retained"), sources, options, counters);
    this.#intake = new Intake(journal, this.#retained, counters, { clock, log });
    this.#backpressure = new Backpressure(options, this.#intake);
    const parts = { journal, router: this.routes, counters, log };
    const retained = [this.#retained, this.#announced];
    const { outputBytesMax } = options;
    this.#replay = new RetainedReplay(retained, outputBytesMax, (task) => clock.afterTurn(task));
    this.#shares = new ShareGroups(options, { ...parts, nowMs: () => clock.monotonicMs() });
    const absences = new Absences({ ...tools, rows: (space) => journal.rows(space) });
    this.#sessions = new Sessions(options, { ...parts, access, absences, shares: this.#shares });
    const known = { journal, sessions: this.#sessions };
    this.#persistence = levelPersistence(journal.rows("aedes"), known);
    this.#admission = new Admission(options, { access, counters, log, sessions: this.#sessions });
    const kept = { ...tools, counters, persistence: this.#persistence, sessions: this.#sessions };
    this.#ends = new SessionEnds(options, {
      ...{ ...kept, shares: this.#shares },
      isHere: (id) => this.#admission.isComing(id) || isConnected(id, this.#connections),
    });
    this.desk = new BrokerDesk({
      ...{ sessions: this.#sessions, ends: this.#ends },
      connections: this.#connections,
      router: this.routes,
      retained,
      nowMs: () => clock.monotonicMs(),
    });
    this.#upkeep = new Upkeep(options, {
      ...{ clock, access, overload: this.#overload, throttle: this.#throttle },
      ...{ replay: this.#replay, shares: this.#shares, backpressure: this.#backpressure },
      ...{ sessions: this.#sessions, ends: this.#ends },
      ...{ desk: this.desk, listeners: this.#listeners, connections: this.#connections },
    });
    this.#control = new AedesControl(this.#persistence, this, log);
    this.site = new SiteDesk(options, {
      ...kept,
      admission: this.#admission,
      publishWill: (will, owner) => this.publishWill(will, owner),
    });
  }

  async start(signal: AbortSignal): Promise<void> {
    const { clock, journal, access, wallIsSure } = this.#tools;
    this.#intake.open();
    const follows = [
      journal.onCommit(() => this.#backpressure.relax()),
      access.onChange(() => this.#admission.reconsider(this.#connections)),
    ];
    this.#unfollow = () => follows.forEach((end) => void end());
    await this.#retained.load();
    await this.#sessions.restore(this.#persistence);
    await this.site.publishWillsLeft();
    await this.#control.start();
    signal.throwIfAborted();
    this.#upkeep.start();
    for (const options of this.#options.listeners) {
      const listener = new NetListener(options, {
        ...{ clock, log: this.#tools.log, arrivals: this.#arrivals, wallIsSure },
        ...{ connectBytesMax: this.connectBytesMax, packetBytesMax: this.packetBytesMax },
        accept: (channel, sinceMs) => this.#accept(channel, options.name, sinceMs),
        refused: (reason) => this.refused(reason),
      });
      this.#listeners.push(listener);
      await listener.listen();
    }
  }

  /**
   * Takes nobody and reads nothing any more, acknowledges what it has taken, publishes the wills of those connected, and
   * lets go of all connections.
   */
  async stop(): Promise<void> {
    for (const listener of this.#listeners) listener.close();
    this.#upkeep.stop();
    this.#sessions.absences.keep(true);
    this.#shares.freeze();
    for (const { channel } of this.#connections) channel.pause();
    await this.#tools.journal.committed().catch(() => {}); // the journal itself has said what is wrong
    this.turn.flush();
    await this.#control.stop();
    await this.#tools.journal.committed().catch(() => {});
    this.turn.flush();
    await Promise.all(this.#listeners.map((listener) => listener.end()));
    this.#listeners.length = 0;
    this.#unfollow();
    this.#intake.close();
  }

  /**
   * Takes a message that did not come through a connection, from a device for example. Resolves when it is kept.
   * @throws FieldgateError ERR_STORE_FULL, ERR_STORE_WRITE, or ERR_TOPIC when the topic is not one
   */
  publish(message: Message, publisher: LocalPublisher): Promise<void> {
    this.#upkeep.stir();
    const route = this.routes.route(message.topic);
    if (route.refusal !== null) {
      const details = { topic: message.topic };
      return Promise.reject(new FieldgateError("ERR_TOPIC", route.refusal, { details }));
    }
    return publisher.publish((token) =>
      this.#intake.admit(publishFrameOf(message), route, publisher, token),
    );
  }

  /** Takes a message that came down from the cloud, or says at once why not: it never goes up again. */
  takeDown(message: Message, publisher: LocalPublisher): Offered {
    this.#upkeep.stir();
    const route = this.routes.route(message.topic);
    const denied = !this.#tools.access.downlink.mayPublish(message.topic);
    if (route.refusal !== null || route.reserved || denied) {
      const details = { topic: message.topic };
      const why = route.refusal ?? (route.reserved ? "topic is reserved" : "not allowed here");
      return notTaken(new FieldgateError("ERR_TOPIC", why, { details }));
    }
    const staying = route.lane === 0 ? route : { ...route, lane: 0 };
    return publisher.offer((token) =>
      this.#intake.admit(publishFrameOf(message), staying, publisher, token),
    );
  }

  /** Takes a message that another gateway of the site has taken, into that lane when somebody here waits for it. Why not, or null. */
  takeFromPeer(
    message: Message,
    publisher: LocalPublisher,
    { lane, wallMs }: { readonly lane: number; readonly wallMs: number },
  ): string | null {
    this.#upkeep.stir();
    const route = this.routes.route(message.topic);
    if (route.refusal !== null || route.reserved) return null; // not for anybody here
    const frame = publishFrameOf(message);
    return this.#intake.admitFromPeer(frame, { ...route, lane }, publisher, wallMs);
  }

  /** Calls `listener` with each message to that very topic once it is kept, until the returned function is called. */
  listen(topic: string, listener: Listener): () => void {
    return this.routes.listen(topic, listener);
  }

  /** Says a figure of the broker's own, below $SYS: to those subscribed now, and to those who will be. */
  announce(topic: string, payload: string): void {
    const bytes = Buffer.from(payload);
    const said = publishFrameOf({ topic, payload: bytes, qos: 0, retain: true, properties: null });
    this.#announced.set(topic, said);
    this.#intake.tell(said, this.routes.route(topic));
  }

  status(): BrokerStatus {
    const { accepted, acceptedDurable, sent, drops, closes } = this.#counters;
    return {
      connections: this.#connections.size,
      paused: this.#backpressure.paused,
      pauses: this.#backpressure.pauses,
      throttled: this.#throttle.size,
      throttles: this.#throttle.times,
      ratesLeft: this.#rates.remembered.left,
      ratesForgotten: this.#rates.remembered.forgotten,
      overload: this.#overload.status(),
      held: this.#backpressure.held,
      sessions: this.#sessions.count,
      persistent: this.#ends.status(),
      retained: this.#retained.size,
      accepted,
      acceptedDurable,
      sent,
      dropped: Object.fromEntries(drops),
      closed: Object.fromEntries(closes),
      shared: this.#shares.status(),
      listeners: this.#listeners.map(({ status }) => status),
      certified: certifiedClients(this.#connections),
      talkers: this.desk.talkers,
    };
  }

  // ——— what connections ask for
  nowMs(): number {
    return this.#tools.clock.monotonicMs();
  }
  heardMs(): number {
    this.#upkeep.stir();
    return this.nowMs();
  }
  control(connection: Connection) {
    return this.#control.open(connection);
  }
  readonly admit: Intake["admit"] = (frame, route, publisher, token) => {
    if (frame.qos > 0 || frame.retain || !this.#overload.sheds) {
      return this.#intake.admit(frame, route, publisher, token);
    }
    this.#counters.dropped("overloaded");
    return null;
  };
  asked(connection: Connection, filters: number): number {
    return this.#rates.asked(connection, filters, this.nowMs());
  }
  throttle(connection: Connection, ms: number): void {
    this.#throttle.hold(connection, this.nowMs() + ms);
  }
  keepReceived(session: Session, packetId: number): void {
    this.#sessions.keepReceived(session, packetId);
  }
  forgetReceived(session: Session, packetId: number): Promise<void> {
    return this.#sessions.forgetReceived(session, packetId);
  }
  refused(reason: string): void {
    this.#counters.closed(reason);
  }
  get closesDenied(): boolean {
    return this.#tools.access.whenDenied === "disconnect";
  }
  unexpected(_connection: Connection, reason: string): void {
    this.#counters.dropped(reason);
  }
  mustPause(connection: Connection): boolean {
    return this.#backpressure.mustPause(connection);
  }
  holds(connection: Connection, bytes: number): void {
    this.#backpressure.holds(connection, bytes);
  }
  drained(connection: Connection): void {
    connection.session?.drained();
    this.#backpressure.drained(connection);
  }

  ended(connection: Connection, reason: string): void {
    this.#connections.delete(connection);
    this.#backpressure.forget(connection);
    this.#throttle.forget(connection);
    this.#admission.left(connection);
    const { session, channel, rate } = connection;
    if (session !== null) {
      this.#sessions.left(session, connection);
      if (rate !== null) this.#rates.left(session.clientId, rate, this.#tools.clock.monotonicMs());
    }
    const fields = { remote: channel.remote, clientId: session?.clientId, reason };
    this.#tools.log.debug("disconnected", fields);
  }

  // ——— what the control plane asks for
  authenticate(connection: Connection, claims: ConnectClaims): ReturnCode | Promise<ReturnCode> {
    const code = this.#admission.authenticate(connection, claims);
    return this.site.come(code, connection, claims);
  }

  registered(connection: Connection, clean: boolean): boolean {
    const { rights } = connection;
    if (connection.isClosed) return false; // while its will was being kept
    const { session, present } = this.#sessions.open(rights, clean, this.#tools.clock.wallMs());
    session.link?.close("taken over");
    connection.session = session;
    connection.rate = this.#rates.ofClient(session.clientId);
    this.#admission.entered(connection);
    return present;
  }

  ready(connection: Connection): void {
    connection.session?.attach(connection);
    connection.proceed();
  }

  maySubscribe(connection: Connection, filter: string): boolean {
    const { session } = connection;
    if (session === null) return true; // aedes takes up what was granted
    if (!this.#admission.maySubscribe(connection, filter)) return false;
    if (this.#sessions.hasRoomFor(session, filter)) return true;
    this.#counters.dropped("too many subscriptions");
    return false;
  }

  subscribed(connection: Connection, granted: readonly Granted[]): Promise<void> | null {
    const { session } = connection;
    if (session === null) return null;
    for (const { filter, qos } of granted) this.#sessions.subscribe(session, filter, qos);
    return this.#replay.give(session, connection, granted);
  }

  unsubscribed(connection: Connection, filters: readonly string[]): void {
    const { session } = connection;
    if (session === null) return;
    for (const filter of filters) this.#sessions.unsubscribe(session, filter);
  }

  mayPublishWill(connection: Connection, topic: string): boolean {
    return this.#admission.mayPublishWill(connection, topic);
  }

  async publishWill(will: Message, clientId: string): Promise<void> {
    const { refusal, reserved } = this.routes.route(will.topic);
    if (refusal !== null) this.#counters.dropped(`will ${refusal}`);
    else if (reserved) this.#counters.dropped("topic is reserved");
    else await this.publish(will, new LocalPublisher(clientId));
  }

  // ——— its own
  #accept(channel: Channel, listener: string, sinceMs: number): Connection {
    const connection = new Connection(channel, { listener, sinceMs }, this);
    this.#connections.add(connection);
    return connection;
  }
}
