import { FieldgateError } from "../../src/base/errors.ts";
import type { Random } from "../../src/base/random.ts";
import type {
  Condition,
  Etcd,
  EtcdChange,
  EtcdEntry,
  Grant,
  Listing,
  Put,
  WatchListener,
} from "../../src/site/etcd-port.ts";
import type { SimClock } from "../support/sim-clock.ts";

/** etcd looks for ended leases that often. */
const LESSOR_MS = 500;

interface SimLease {
  readonly ttlMs: number;
  endsMs: number;
}

/** One store of etcd in virtual time: what it is when all its members agree. It has no network: see SimLink. */
export class SimEtcd {
  isUp = true;
  /** The chance that a renewal of a lease that has ended is confirmed, as etcd before 3.4.38 does. */
  confirmsEnded = 0;
  readonly #clock: SimClock;
  readonly #random: Random;
  readonly #watchers = new Set<{ prefix: string; tell: (changes: EtcdChange[]) => void }>();
  #leases = new Map<string, SimLease>();
  #entries = new Map<string, EtcdEntry>();
  #history: EtcdChange[] = [];
  #revision = 1;
  #lastLease = 0;

  constructor(clock: SimClock, random: Random) {
    this.#clock = clock;
    this.#random = random;
    clock.every(LESSOR_MS, () => this.#expire());
  }

  get revision(): number {
    return this.#revision;
  }

  grant(ttlSeconds: number): Grant {
    const lease = String(++this.#lastLease * 1000 + Math.floor(this.#random() * 1000));
    const ttlMs = ttlSeconds * 1000;
    this.#leases.set(lease, { ttlMs, endsMs: this.#clock.monotonicMs() + ttlMs });
    return { lease, ttlMs };
  }

  renew(id: string): number | null {
    const lease = this.#leases.get(id);
    if (lease === undefined) return this.#random() < this.confirmsEnded ? 3000 : null;
    lease.endsMs = this.#clock.monotonicMs() + lease.ttlMs;
    return lease.ttlMs;
  }

  revoke(id: string): void {
    if (!this.#leases.delete(id)) return;
    const gone = [...this.#entries.values()].filter(({ lease }) => lease === id);
    this.delete(...gone.map(({ key }) => key));
  }

  leaseLives(id: string): boolean {
    return this.#leases.has(id);
  }

  list(prefix: string): Listing {
    const entries = [...this.#entries.values()].filter(({ key }) => key.startsWith(prefix));
    return { revision: this.#revision, entries };
  }

  commit(when: readonly Condition[], puts: readonly Put[]): boolean {
    if (!when.every((condition) => this.#isMet(condition))) return false;
    for (const { lease } of puts) {
      if (lease !== undefined && !this.#leases.has(lease)) throw new Error("lease not found");
    }
    if (puts.length === 0) return true;
    const modRevision = ++this.#revision;
    const changes = puts.map(({ key, value, lease = "0" }) => {
      const entry = { key, value, lease, modRevision };
      this.#entries.set(key, entry);
      return { put: entry };
    });
    this.#tell(changes);
    return true;
  }

  /** As by hand. */
  delete(...keys: string[]): void {
    const there = keys.filter((key) => this.#entries.delete(key));
    if (there.length === 0) return;
    const revision = ++this.#revision;
    this.#tell(there.map((deleted) => ({ deleted, revision })));
  }

  watch(prefix: string, fromRevision: number, tell: (changes: EtcdChange[]) => void): () => void {
    const watcher = { prefix, tell };
    const missed = this.#history.filter((change) => revisionOf(change) >= fromRevision);
    if (missed.length > 0) this.#tellOne(watcher, missed);
    this.#watchers.add(watcher);
    return () => this.#watchers.delete(watcher);
  }

  stop(): void {
    this.isUp = false;
    this.#watchers.clear();
  }

  /** With its data. Leases begin anew, as in etcd. */
  start(): void {
    this.isUp = true;
    const nowMs = this.#clock.monotonicMs();
    for (const lease of this.#leases.values()) lease.endsMs = nowMs + lease.ttlMs;
  }

  wipe(): void {
    this.#leases = new Map();
    this.#entries = new Map();
    this.#history = [];
    this.#revision = 1;
    this.#watchers.clear();
  }

  snapshot(): () => void {
    const [leases, entries] = [new Map(this.#leases), new Map(this.#entries)];
    const [revision, history] = [this.#revision, [...this.#history]];
    return () => {
      this.#leases = new Map([...leases].map(([id, lease]) => [id, { ...lease }]));
      this.#entries = new Map(entries);
      this.#history = [...history];
      this.#revision = revision;
      this.#watchers.clear();
    };
  }

  #isMet(condition: Condition): boolean {
    const entry = this.#entries.get(condition.key);
    if (condition.is === "unchanged") return (entry?.modRevision ?? 0) === condition.modRevision;
    if (condition.is === "not under") return (entry?.lease ?? "0") !== condition.lease;
    return (entry === undefined) === (condition.is === "absent");
  }

  #expire(): void {
    if (!this.isUp) return;
    const nowMs = this.#clock.monotonicMs();
    for (const [id, { endsMs }] of this.#leases) if (endsMs <= nowMs) this.revoke(id);
  }

  #tell(changes: EtcdChange[]): void {
    this.#history.push(...changes);
    for (const watcher of [...this.#watchers]) this.#tellOne(watcher, changes);
  }

  #tellOne(
    { prefix, tell }: { prefix: string; tell: (changes: EtcdChange[]) => void },
    changes: readonly EtcdChange[],
  ): void {
    const theirs = changes.filter((change) =>
      ("put" in change ? change.put.key : change.deleted).startsWith(prefix),
    );
    if (theirs.length > 0) tell(theirs);
  }
}

function revisionOf(change: EtcdChange): number {
  return "put" in change ? change.put.modRevision : change.revision;
}

/** What the way between one gateway and etcd is like. Probabilities are of one message. */
export interface Weather {
  readonly latencyMsMax: number;
  /** A request that never arrives. */
  readonly losesRequest: number;
  readonly losesReply: number;
  /** A request that arrives long after who sent it has given up. */
  readonly delaysRequest: number;
  /** A watch that tells nothing more, and does not say so. */
  readonly deafens: number;
  readonly cutsWatch: number;
}

export const CALM: Weather = {
  latencyMsMax: 5,
  losesRequest: 0,
  losesReply: 0,
  delaysRequest: 0,
  deafens: 0,
  cutsWatch: 0,
};

const CALL_MS_MAX = 1000;
const DELAY_MS_MAX = 6000;

/** The way of one gateway to a SimEtcd. Everything that reaches the gateway passes `arrive`. */
export class SimLink implements Etcd {
  weather: Weather = CALM;
  isCut = false;
  isClosed = false;
  readonly #etcd: SimEtcd;
  readonly #clock: SimClock;
  readonly #random: Random;
  readonly #arrive: (task: () => void) => void;

  constructor(
    etcd: SimEtcd,
    clock: SimClock,
    random: Random,
    arrive: (task: () => void) => void = (task) => task(),
  ) {
    this.#etcd = etcd;
    this.#clock = clock;
    this.#random = random;
    this.#arrive = arrive;
  }

  grant(ttlSeconds: number): Promise<Grant> {
    return this.#call(() => this.#etcd.grant(ttlSeconds));
  }
  renew(lease: string): Promise<number | null> {
    return this.#call(() => this.#etcd.renew(lease));
  }
  revoke(lease: string): Promise<void> {
    return this.#call(() => this.#etcd.revoke(lease));
  }
  leaseLives(lease: string): Promise<boolean> {
    return this.#call(() => this.#etcd.leaseLives(lease));
  }
  list(prefix: string): Promise<Listing> {
    return this.#call(() => this.#etcd.list(prefix));
  }
  commit(when: readonly Condition[], puts: readonly Put[]): Promise<boolean> {
    return this.#call(() => this.#etcd.commit(when, puts));
  }

  watch(prefix: string, fromRevision: number, listener: WatchListener): () => void {
    let stop = () => {};
    let isOver = false;
    let isDeaf = false;
    const end = () => {
      isOver = true;
      stop();
    };
    const trouble = () => {
      if (isOver) return;
      end();
      this.#arrive(() => listener.trouble(new Error("the watch was cut")));
    };
    // Messages of one watch arrive in order.
    let arrivesMs = 0;
    const tell = (changes: EtcdChange[]) => {
      if (this.isCut || this.#chance("deafens")) isDeaf = true;
      if (this.#chance("cutsWatch")) return trouble();
      if (isDeaf) return;
      const nowMs = this.#clock.monotonicMs();
      arrivesMs = Math.max(arrivesMs, nowMs + this.#latency());
      void this.#clock.sleep(arrivesMs - nowMs).then(() => {
        if (!isOver) this.#arrive(() => (isOver ? undefined : listener.changed(changes)));
      });
    };
    void this.#clock.sleep(this.#latency()).then(() => {
      if (isOver) return;
      if (!this.#etcd.isUp || this.isCut) void this.#clock.sleep(CALL_MS_MAX).then(trouble);
      else stop = this.#etcd.watch(prefix, fromRevision, tell);
    });
    return end;
  }

  close(): void {
    this.isClosed = true;
  }

  #call<T>(serve: () => T): Promise<T> {
    return new Promise((resolve, reject) => {
      const fail = (cause: unknown) =>
        this.#arrive(() => reject(new FieldgateError("ERR_ETCD", "no answer", { cause })));
      void this.#clock.sleep(CALL_MS_MAX).then(() => fail("deadline"));
      const isDelayed = this.#chance("delaysRequest");
      const wayMs = isDelayed ? this.#random() * DELAY_MS_MAX : this.#latency();
      if (this.#chance("losesRequest") || this.isCut) return;
      void this.#clock.sleep(wayMs).then(async () => {
        if (!this.#etcd.isUp) return;
        let result: T;
        try {
          result = serve();
        } catch (error) {
          return fail(error);
        }
        if (this.#chance("losesReply")) return;
        await this.#clock.sleep(this.#latency());
        if (!this.isCut) this.#arrive(() => resolve(result));
      });
    });
  }

  #latency(): number {
    return this.#random() * this.weather.latencyMsMax;
  }

  #chance(what: Exclude<keyof Weather, "latencyMsMax">): boolean {
    return this.#random() < this.weather[what];
  }
}
