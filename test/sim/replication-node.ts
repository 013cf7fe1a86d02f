import type { Clock } from "../../src/base/clock.ts";
import { silentLog } from "../../src/base/log.ts";
import type { Random } from "../../src/base/random.ts";
import type { Rows } from "../../src/base/rows.ts";
import type { Watched } from "../../src/base/watchable.ts";
import type { Queue } from "../../src/journal/journal.ts";
import { type MemoryJournal, memoryJournal } from "../../src/journal/memory-journal.ts";
import type { Codec, CopiedJournal, Peer } from "../../src/replica/ports.ts";
import { Replication } from "../../src/replica/replication.ts";
import { SafeJournal } from "../../src/replica/safe-journal.ts";
import { message } from "../support/journal-samples.ts";
import type { SimClock } from "../support/sim-clock.ts";
import type { SimNetwork } from "./replication-network.ts";

const NEVER = new AbortController().signal;
const UPLINK = "uplink/telemetry";
const LIMITS = {
  connectTimeoutMs: 500,
  silenceMsMax: 400,
  lagMsMax: 300,
  backoffFirstMs: 50,
  backoffMaxMs: 400,
  windowBytesMax: 2 ** 16,
  frameBytesMax: 2 ** 20,
  backlogBytesMax: 2 ** 20,
  peersMax: 8,
  replicasMax: 16,
  tellEveryMs: 200,
};
/** As it is: threads would make a run another one each time. */
const plainCodec: Codec = { pack: async (raw) => raw, unpack: async (packed) => packed };

/** Everything in the site by which a gateway is not one alone. */
export interface SimSite {
  readonly clock: SimClock;
  readonly random: Random;
  readonly network: SimNetwork;
  readonly members: Watched<readonly Peer[]>;
  /** Which start of each gateway could be primary now: none in its first moments, none when it is down. */
  readonly leases: Map<string, number>;
  /** A gateway was given up as ended. */
  readonly evicted: (gateway: string) => void;
}

/** From a start until a lease could be taken. */
const LEASE_MS = 500;

/** One gateway of a simulated site: its journal, its replicas, and replication, with a power switch. */
export class ReplicaNode {
  readonly id: string;
  /** Seqs of the messages that its publishers were told are safe, and that the cloud does not have yet. */
  safe: number[] = [];
  isUp = false;
  isLost = false;
  #starts = 0;
  readonly #site: SimSite;
  readonly #journalId: string;
  #journal: MemoryJournal;
  #replicas = new Map<string, MemoryJournal>();
  #waiting: number[] = [];
  #replication: Replication | null = null;
  #publisher: SafeJournal<Queue, Rows> | null = null;

  constructor(site: SimSite, index: number) {
    this.id = `gw-${index}`;
    this.#site = site;
    this.#journalId = String(index).repeat(32);
    this.#journal = this.#newJournal(this.#journalId);
  }

  get journalId(): string {
    return this.#journalId;
  }
  get status() {
    return this.#replication?.status();
  }
  get durableSeq(): number {
    return this.#journal.durableSeq;
  }

  async start(): Promise<void> {
    await this.#journal.start(NEVER);
    for (const replica of this.#replicas.values()) await replica.start(NEVER);
    const { clock, random, network, members } = this.#site;
    const replicas = this.#replicas;
    this.#journal.cursor(UPLINK);
    this.#replication = new Replication(
      { limits: LIMITS, isSafe: true, whenAlone: "reject", format: 1, lanes: { [UPLINK]: 1 } },
      {
        clock,
        random,
        log: silentLog,
        identity: { gateway: this.id, site: "sim" },
        journal: this.#journal,
        replicas: {
          all: () => [...replicas.values()],
          open: (journal) => this.#openReplica(journal, replicas),
          remove: async () => undefined,
        },
        network: network.of(this.id),
        codec: plainCodec,
        site: {
          members,
          epoch: () => 1,
          outdated: () => undefined,
          lost: (one) => this.#suspects(one),
          told: () => undefined,
          acts: () => false,
        },
        found: () => undefined,
        gone: async () => undefined,
      },
    );
    const publisher = new SafeJournal<Queue, Rows>(this.#journal, this.#replication.release);
    this.#publisher = publisher;
    await this.#replication.start();
    publisher.onCommit((releasedSeq) => this.#released(releasedSeq));
    this.isUp = true;
    const start = ++this.#starts;
    void clock.sleep(LEASE_MS).then(() => {
      if (this.isUp && this.#starts === start) this.#site.leases.set(this.id, start);
    });
  }

  /** A publisher's message. False when it was refused: there is no peer in sync. */
  publish(): boolean {
    try {
      const text = "x".repeat(Math.floor(this.#site.random() * 400));
      const seq = this.#publisher?.append(message("t", text), 1, 0, []);
      if (seq !== undefined) this.#waiting.push(seq);
      return seq !== undefined;
    } catch {
      return false;
    }
  }

  /** The cloud has the older half of what is safe. */
  deliver(): void {
    const half = this.safe.splice(0, Math.ceil(this.safe.length / 2));
    const last = half.at(-1);
    if (last === undefined) return;
    const cursor = this.#journal.cursor(UPLINK);
    cursor.move(last, Math.max(0, last - cursor.seq));
  }

  /** The power is cut: what was not synced is gone. */
  async crash(): Promise<void> {
    this.isUp = false;
    this.#site.leases.delete(this.id);
    this.#waiting = [];
    this.#site.network.kill(this.id);
    const replication = this.#replication;
    this.#replication = null;
    this.#publisher = null;
    const ended = replication?.stop();
    const journal = this.#journal.crash();
    const replicas = [...this.#replicas].map(async ([id, one]) => [id, await one.crash()] as const);
    this.#journal = await journal;
    this.#replicas = new Map(await Promise.all(replicas));
    await ended;
  }

  /** It is gone for ever, with its disk. */
  async lose(): Promise<void> {
    this.isLost = true;
    await this.crash();
  }

  /** Seqs of that journal which its disk has here. */
  async has(journalId: string): Promise<ReadonlySet<number>> {
    const replica = this.#replicas.get(journalId);
    if (replica === undefined) return new Set();
    const { entries } = await replica.read(0, { messagesMax: 1e6, bytesMax: 2 ** 30 });
    return new Set(entries.map(({ seq }) => seq));
  }

  /** How far its copy of that journal goes. */
  copiedSeq(journalId: string): number {
    return this.#replicas.get(journalId)?.durableSeq ?? 0;
  }

  get trimmedSeq(): number {
    return this.#journal.copies.trimmedSeq;
  }

  trimmedCopy(journalId: string): number {
    return this.#replicas.get(journalId)?.copies.trimmedSeq ?? 0;
  }

  /** As the election would: what is ended is the lease that was there when the connection broke. */
  #suspects(gateway: string): () => void {
    const { leases, evicted } = this.#site;
    const lease = leases.get(gateway);
    return () => {
      const isAlive = lease !== undefined && leases.get(gateway) === lease;
      if (isAlive) throw new Error(`${this.id} ends the lease of ${gateway}, which is alive`);
      evicted(gateway);
    };
  }

  #released(releasedSeq: number): void {
    const index = this.#waiting.findIndex((seq) => seq > releasedSeq);
    const count = index === -1 ? this.#waiting.length : index;
    this.safe.push(...this.#waiting.splice(0, count));
  }

  async #openReplica(id: string, replicas: Map<string, MemoryJournal>): Promise<CopiedJournal> {
    const known = replicas.get(id);
    if (known !== undefined) return known;
    const made = this.#newJournal(id);
    await made.start(NEVER);
    replicas.set(id, made);
    return made;
  }

  #newJournal(id: string): MemoryJournal {
    const { clock, random } = this.#site;
    // The disk takes its time: what is on its way to it when the power is cut is gone.
    const slow: Clock = {
      monotonicMs: () => clock.monotonicMs(),
      wallMs: () => clock.wallMs(),
      sleep: (ms, signal) => clock.sleep(ms, signal),
      sleepExactly: (ms, signal) => clock.sleep(ms, signal),
      every: (ms, task) => clock.every(ms, task),
      afterTurn: (task) => void clock.sleep(random() * random() * 100).then(task),
    };
    return memoryJournal({ id, trimBytesMin: 4096 }, { clock: slow, random, log: silentLog });
  }
}
