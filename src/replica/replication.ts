import type { Clock } from "../base/clock.ts";
import { errorFields, FieldgateError } from "../base/errors.ts";
import type { Log } from "../base/log.ts";
import type { Random } from "../base/random.ts";
import type { Service } from "../base/service.ts";
import type { Message } from "../mqtt/message.ts";
import { boundBacklogs } from "./backlogs.ts";
import { newCounters } from "./counters.ts";
import { PROTOCOL_VERSION } from "./frames.ts";
import { copyOf, type Greeting } from "./greeting.ts";
import type { PeerLimits } from "./limits.ts";
import { Interests } from "./live.ts";
import type { OfficeNote } from "./office.ts";
import type {
  Channel,
  Codec,
  CopiedJournal,
  Peer,
  PeerNetwork,
  Replicas,
  SiteView,
  Subscribers,
} from "./ports.ts";
import { type LanesByCursor, ORIGIN_CURSOR, positionsOf } from "./positions.ts";
import { Receiver } from "./receiver.ts";
import { Relay, relayed } from "./relay.ts";
import { Release } from "./release.ts";
import { ReplicaRoom } from "./replica-room.ts";
import { Sender } from "./sender.ts";
import type { ReplicationStatus } from "./status.ts";
import { Strangers } from "./strangers.ts";
import { Told } from "./told.ts";

export interface ReplicationOptions {
  readonly limits: PeerLimits;
  /** Whether a publisher is acknowledged only when a peer in sync has the message too. */
  readonly isSafe: boolean;
  readonly whenAlone: "accept" | "reject";
  /** The version of the journal's blocks. */
  readonly format: number;
  readonly lanes: LanesByCursor;
}

export interface ReplicationTools {
  readonly clock: Clock;
  readonly log: Log;
  readonly random: Random;
  readonly identity: { readonly gateway: string; readonly site: string };
  readonly journal: CopiedJournal;
  readonly replicas: Replicas;
  readonly network: PeerNetwork;
  readonly codec: Codec;
  readonly site: SiteView;
  /** Those who are subscribed here; absent: nobody. */
  readonly subscribers?: Subscribers;
  /** A replica is there: one of an earlier run, or a new one. Told once for each. */
  readonly found: (replica: CopiedJournal, gateway: string) => void;
  /** That replica is about to be removed. Resolves when nobody uses it any more. */
  readonly gone: (journal: string) => Promise<void>;
}

const TRIM_EVERY_MS = 2000;
const LISTEN_RETRY_MS = 5000;
const NO_FILTERS: readonly string[] = [];
const ROWS = "replica";
const ORIGIN_ROW = "gateway";

/**
 * Copies our journal to the peers, and takes theirs. Each gateway connects to each other one, and ships its own journal over
 * that connection; so between two there are two.
 */
export class Replication implements Service {
  readonly name = "replication";
  /** Up to where publishers are acknowledged. */
  readonly release: Release;
  readonly #options: ReplicationOptions;
  readonly #tools: ReplicationTools;
  readonly #log: Log;
  readonly counters = newCounters();
  readonly #senders = new Map<string, Sender>();
  readonly #receivers = new Map<string, Receiver>();
  readonly #told: Told<Receiver>;
  readonly #relay: Relay;
  readonly #room: ReplicaRoom;
  readonly #interests = new Interests(() => this.#tools.subscribers?.rerouted());
  readonly #ending = new Set<Promise<void>>();
  readonly #origins = new Map<string, string>();
  readonly #life = new AbortController();
  #stops: (() => void)[] = [];
  #address = "";
  #error: Readonly<Record<string, unknown>> | null = null;

  constructor(options: ReplicationOptions, tools: ReplicationTools) {
    this.#options = options;
    this.#tools = tools;
    this.#log = tools.log.part("replica");
    const { isSafe, whenAlone, limits } = options;
    this.release = new Release(
      { isSafe, whenAlone, lagMsMax: limits.lagMsMax },
      { ...tools, log: this.#log, counters: this.counters },
    );
    this.#room = new ReplicaRoom(limits.replicasMax, {
      ...tools,
      log: this.#log,
      counters: this.counters,
      isInUse: (journal) => this.#isInUse(journal),
      gone: async (journal) => {
        this.#origins.delete(journal);
        await tools.gone(journal);
      },
    });
    this.#told = new Told({
      journals: () => [tools.journal, ...tools.replicas.all()],
      lanes: options.lanes,
      acts: () => tools.site.acts(),
    });
    this.#relay = new Relay({
      log: this.#log,
      counters: this.counters,
      told: this.#told,
      ownJournal: () => tools.journal.id,
      copy: (journal) => this.#copy(journal),
      open: (journal, gateway) => this.#replicaOf(journal, gateway),
    });
  }

  /** Where peers connect; empty before the start. */
  get address(): string {
    return this.#address;
  }

  /** Entries of the site's journals that this gateway has, those of its own one included. */
  get entries(): number {
    const members = new Set(this.#tools.site.members.get().map(({ journal }) => journal));
    const journals = this.#tools.replicas.all().filter(({ id }) => members.has(id));
    return [this.#tools.journal, ...journals]
      .flatMap(({ laneTotals }) => laneTotals)
      .reduce((sum, total) => sum + total, 0);
  }

  /** Passes a message of that topic that is not kept on to peers that have subscribers for it; null when none has. */
  beyond(topic: string): ((message: Message) => void) | null {
    const peers = this.#interests.of(topic);
    if (peers.length === 0) return null;
    return (message) => {
      for (const peer of peers) this.#senders.get(peer)?.live(message);
    };
  }

  /** A client has come here: that peer lets go of it, or all do. False when it cannot be told. */
  claim(client: string, gateway: string | null): boolean {
    if (gateway !== null) return this.#senders.get(gateway)?.claim(client) ?? false;
    for (const sender of this.#senders.values()) sender.claim(client);
    return true;
  }

  /** Tells a peer how far a hand-over is. False when it is not connected. */
  office(gateway: string, note: OfficeNote): boolean {
    return this.#senders.get(gateway)?.office(note) ?? false;
  }

  /** Whether that journal comes to us from its own gateway. */
  hears(journal: string): boolean {
    return [...this.#receivers.values()].some((one) => one.journal === journal);
  }

  /** Up to where that journal was durable at its own gateway, when that told us last. */
  toldSeq(journal: string): number {
    return this.#told.originSeq(journal);
  }

  /** Does not wait for peers, nor for its own address. */
  async start(): Promise<void> {
    const { clock, site, journal, replicas } = this.#tools;
    for (const replica of replicas.all()) {
      const row = await replica.rows(ROWS).get(ORIGIN_ROW);
      this.#found(replica, row === undefined ? "unknown" : new TextDecoder().decode(row));
    }
    void this.#listen();
    this.#stops = [
      journal.onCommit(() => this.#committed()),
      site.members.follow((members) => this.#meet(members)),
      clock.every(this.#options.limits.tellEveryMs, () => {
        for (const sender of this.#senders.values()) sender.tellPositions();
        this.#told.look();
        this.#relay.look();
        for (const receiver of this.#receivers.values()) receiver.tellInterest();
      }),
      clock.every(TRIM_EVERY_MS, () => this.#boundBacklogs()),
    ];
    this.#meet(site.members.get());
    this.release.start();
  }

  /** Sensors are served all the same while the certificates are missing or the address is taken: it is tried again. */
  async #listen(): Promise<void> {
    const { clock, network } = this.#tools;
    while (!this.#life.signal.aborted) {
      try {
        const strangers = new Strangers({ clock, log: this.#log, counters: this.counters });
        this.#address = await network.listen(
          (channel, gateway) => this.#accept(channel, gateway),
          (error) => strangers.refused(error),
        );
        this.#error = null;
        return;
      } catch (error) {
        if (this.#error === null) this.#log.error("peers cannot connect", errorFields(error));
        this.#error = errorFields(error);
      }
      await clock.sleep(LISTEN_RETRY_MS, this.#life.signal).catch(() => undefined);
    }
  }

  #accept(channel: Channel, gateway: string): Receiver {
    const receiver: Receiver = new Receiver(
      {
        ...this.#tools,
        log: this.#log,
        limits: this.#options.limits,
        counters: this.counters,
        greeting: () => this.#greeting(),
        admit: (other, from) => this.#admit(other, from),
        positions: (told) => this.#told.took(receiver, told),
        relayed: (journal, blocks) => this.#relay.came(receiver, journal, blocks),
        filters: () => this.#tools.subscribers?.filters() ?? NO_FILTERS,
        live: (messages, from) => {
          for (const message of messages) this.#tools.subscribers?.take(message, from);
        },
        claimed: (client, from) => this.#tools.subscribers?.claimed(client, from),
        office: (from, note) => this.#tools.site.told(from, note),
        ended: (ended) => this.#ended(ended),
      },
      channel,
      gateway,
    );
    return receiver;
  }

  async stop(): Promise<void> {
    this.#life.abort();
    this.release.stop();
    for (const stop of this.#stops) stop();
    this.#stops = [];
    const ends = [...this.#senders.values(), ...this.#receivers.values()].map((one) => one.stop());
    await Promise.all([...ends, ...this.#ending]);
    await this.#tools.network.close();
  }

  status(): ReplicationStatus {
    const { inSync, isAlone, releasedSeq } = this.release;
    return {
      address: this.#address,
      error: this.#error,
      inSync,
      isAlone,
      whenAlone: this.#options.whenAlone,
      releasedSeq,
      peers: [...this.#senders].map(([id, sender]) => ({
        ...sender.status(),
        inSync: inSync.includes(id),
        lagMs: Math.round(this.release.lagMs(id)),
      })),
      replicas: this.#tools.replicas.all().map(({ id, durableSeq, storeBytes }) => ({
        journal: id,
        gateway: this.#originOf(id),
        seq: durableSeq,
        storeBytes,
        connected: [...this.#receivers.values()].some(({ journal }) => journal === id),
      })),
      counters: { ...this.counters, failures: { ...this.counters.failures } },
    };
  }

  #greeting(): Greeting {
    const { identity, journal, site } = this.#tools;
    const { format } = this.#options;
    return {
      protocol: PROTOCOL_VERSION,
      ...identity,
      journal: journal.id,
      format,
      epoch: site.epoch(),
    };
  }

  /** Peers are tried for as long as we run: one whose registration is lost may be there all the same. */
  #meet(members: readonly Peer[]): void {
    for (const peer of members) {
      if (peer.id === this.#tools.identity.gateway || peer.address === "") continue;
      const known = this.#senders.get(peer.id);
      if (known !== undefined) known.update(peer);
      else if (this.#senders.size < this.#options.limits.peersMax) this.#send(peer);
      else this.#log.warn("a peer beyond cluster.peer.peersMax gets no copy", { peer: peer.id });
    }
  }

  #send(peer: Peer): void {
    const { site, journal, replicas } = this.#tools;
    const sender = new Sender(
      {
        ...this.#tools,
        log: this.#log,
        limits: this.#options.limits,
        counters: this.counters,
        greeting: () => this.#greeting(),
        connected: (id, seq) => {
          if (seq < journal.copies.trimmedSeq) this.#tools.subscribers?.missed();
          this.release.connected(id, seq);
        },
        acked: (id, seq) => this.release.acked(id, seq),
        lost: (id) => this.release.lost(id),
        sawEpoch: (epoch) => {
          if (epoch > site.epoch()) site.outdated(epoch);
        },
        broke: (id) => site.lost(id),
        interested: (id, filters) => this.#interests.set(id, filters),
        positions: () => [
          positionsOf(journal, this.#tools.identity.gateway, true),
          ...replicas.all().map((one) => positionsOf(one, this.#originOf(one.id), false)),
        ],
        relay: (id, afterSeq) => relayed(this.#copy(id), id, afterSeq, this.#tools.codec),
      },
      peer,
    );
    this.#senders.set(peer.id, sender);
    sender.start();
  }

  async #admit(other: Greeting, receiver: Receiver): Promise<CopiedJournal> {
    const before = this.#receivers.get(other.gateway);
    if (before !== undefined && before.journal !== other.journal) {
      const message = `two gateways with the id ${other.gateway} and different stores are running`;
      throw new FieldgateError("ERR_SITE_DUPLICATE", message);
    }
    const members = this.#tools.site.members
      .get()
      .map(({ id, journal }) => ({ gateway: id, journal }));
    const copied = copyOf(other, [...members, ...this.#receivers.values()]);
    if (copied !== null) throw copied;
    this.#receivers.set(other.gateway, receiver);
    if (before !== undefined) await before.stop();
    if (other.epoch > this.#tools.site.epoch()) this.#tools.site.outdated(other.epoch);
    return await this.#replicaOf(other.journal, other.gateway);
  }

  #copy(journal: string): CopiedJournal | undefined {
    return this.#tools.replicas.all().find(({ id }) => id === journal);
  }

  /** Its gateway is registered, or connected. */
  #isInUse(journal: string): boolean {
    const isMember = this.#tools.site.members.get().some((member) => member.journal === journal);
    return isMember || this.hears(journal);
  }

  #originOf(journal: string): string {
    return this.#origins.get(journal) ?? "unknown";
  }

  /** Our copy of that journal, made when it is not there. */
  async #replicaOf(journal: string, gateway: string): Promise<CopiedJournal> {
    const replica = await this.#room.open(journal);
    replica.cursor(ORIGIN_CURSOR);
    if (!this.#origins.has(journal)) {
      await replica.rows(ROWS).put(ORIGIN_ROW, new TextEncoder().encode(gateway));
      this.#found(replica, gateway);
    }
    return replica;
  }

  #found(replica: CopiedJournal, gateway: string): void {
    if (this.#origins.has(replica.id)) return;
    this.#origins.set(replica.id, gateway);
    this.#tools.found(replica, gateway);
  }

  #ended(receiver: Receiver): void {
    this.#told.ended(receiver);
    this.#relay.ended(receiver);
    if (this.#receivers.get(receiver.gateway) === receiver)
      this.#receivers.delete(receiver.gateway);
    const end = receiver.stop().finally(() => this.#ending.delete(end));
    this.#ending.add(end);
  }

  #committed(): void {
    for (const sender of this.#senders.values()) sender.wake();
    this.release.committed();
  }

  #boundBacklogs(): void {
    const { backlogBytesMax } = this.#options.limits;
    boundBacklogs(this.#tools.journal, backlogBytesMax, this.counters, this.#log).catch((error) =>
      this.#log.warn("backlogs of peers are not known", errorFields(error)),
    );
  }
}
