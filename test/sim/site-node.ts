import type { Clock } from "../../src/base/clock.ts";
import { silentLog } from "../../src/base/log.ts";
import type { Random } from "../../src/base/random.ts";
import { type Site, site } from "../../src/site/site.ts";
import type { OfficeNote } from "../../src/site/succession.ts";
import { SimClock } from "../support/sim-clock.ts";
import { type SimEtcd, SimLink } from "./site-etcd.ts";

/** Virtual time that lets the test look after everything that happens. */
export class WatchedClock extends SimClock {
  readonly #look: () => void;

  constructor(look: () => void) {
    super();
    this.#look = look;
  }

  override async sleep(ms: number, signal?: AbortSignal): Promise<void> {
    await super.sleep(ms, signal);
    // After all that follows from this timer, and before the next one.
    setImmediate(this.#look);
  }
}

const FOREVER = new Promise<never>(() => {});

/** One process of one gateway: its clock runs a little fast or slow, and it can be stopped, or killed. */
class SimProcess implements Clock {
  isDead = false;
  stalledUntilMs = 0;
  wallJumpMs = 0;
  readonly #clock: SimClock;
  readonly #rate: number;

  constructor(clock: SimClock, rate: number) {
    this.#clock = clock;
    this.#rate = rate;
  }

  monotonicMs(): number {
    return 1_000_000 + this.#clock.monotonicMs() * this.#rate;
  }
  wallMs(): number {
    return this.#clock.wallMs() + this.wallJumpMs;
  }

  /** Timers fire a little early now and then, as those of the machine do. */
  async sleep(ms: number, signal?: AbortSignal): Promise<void> {
    await this.#clock.sleep(Math.max(0, ms - 0.5) / this.#rate, signal);
    await this.awake();
  }

  async sleepExactly(ms: number, signal?: AbortSignal): Promise<void> {
    await this.#clock.sleep(ms / this.#rate, signal);
    await this.awake();
  }

  every(ms: number, task: () => void): () => void {
    return this.#clock.every(ms / this.#rate, () => void this.awake().then(task));
  }

  afterTurn(task: () => void): void {
    queueMicrotask(task);
  }

  async awake(): Promise<void> {
    while (this.#clock.monotonicMs() < this.stalledUntilMs) {
      await this.#clock.sleep(this.stalledUntilMs - this.#clock.monotonicMs());
    }
    if (this.isDead) await FOREVER;
  }

  get isStalled(): boolean {
    return this.#clock.monotonicMs() < this.stalledUntilMs;
  }
}

/** A gateway that can be killed and started again with its disk. */
export class SimNode {
  readonly id: string;
  link: SimLink;
  site: Site;
  process: SimProcess;
  isUp = false;
  /** Grows with each start. */
  starts = 0;
  failsWrites = false;
  /** What others are told goes a way of its own, which may be long, or lead nowhere. */
  peers: readonly SimNode[] = [];
  notes: "none" | "all" | "late" = "all";
  readonly #clock: SimClock;
  readonly #random: Random;
  readonly #etcd: SimEtcd;
  readonly #disk = new Map<string, Uint8Array>();
  readonly #priority: number;

  constructor(id: string, clock: SimClock, random: Random, etcd: SimEtcd) {
    this.id = id;
    this.#clock = clock;
    this.#random = random;
    this.#etcd = etcd;
    this.#priority = 100 + Math.floor(random() * 3);
    this.process = this.#newProcess();
    this.link = this.#newLink();
    this.site = this.#newSite();
  }

  async start(): Promise<void> {
    const { weather, isCut } = this.link;
    this.starts++;
    this.process = this.#newProcess();
    this.link = this.#newLink();
    this.link.weather = weather;
    this.link.isCut = isCut;
    this.site = this.#newSite();
    this.isUp = true;
    await this.site.start(new AbortController().signal);
  }

  kill(): void {
    this.process.isDead = true;
    this.isUp = false;
  }

  async stop(): Promise<void> {
    const stopped = this.process;
    await this.site.stop();
    stopped.isDead = true;
    this.isUp = false;
  }

  /** Whether it would act if it came to run now. */
  get wouldAct(): boolean {
    return !this.process.isDead && this.site.role.mayAct();
  }

  get epoch(): number {
    const role = this.site.role.get();
    return role.at === "primary" ? role.epoch : 0;
  }

  get diskEpoch(): number {
    return Number(new TextDecoder().decode(this.#disk.get("epoch")));
  }

  #newProcess(): SimProcess {
    return new SimProcess(this.#clock, 0.98 + this.#random() * 0.04);
  }

  #newLink(): SimLink {
    const { process } = this;
    return new SimLink(this.#etcd, this.#clock, this.#random, (task) => {
      if (!process.isStalled && !process.isDead) task();
      else void process.awake().then(task);
    });
  }

  #newSite(): Site {
    const { process: clock, id } = this;
    const disk = this.#disk;
    return site(
      {
        endpoints: ["http://sim:2379"],
        registrationTtlSeconds: 10,
        primaryTtlSeconds: 3,
        priority: this.#priority,
        onEtcdLoss: "cloud-fenced",
      },
      {
        clock,
        log: silentLog,
        random: this.#random,
        identity: { gateway: id, site: "sim" },
        version: "0",
        rows: {
          get: async (key) => disk.get(key),
          put: async (key, value) => {
            await clock.sleep(this.#random() * 30);
            if (this.failsWrites) throw new Error("the disk is full");
            disk.set(key, value);
          },
        },
        journalOffset: () => ({ id: `journal-${id}`, seq: this.starts }),
        etcd: this.link,
        tell: (gateway, note) => this.#tell(gateway, note),
        settle: () => clock.sleep(this.#random() * 200),
      },
    );
  }

  #tell(gateway: string, note: OfficeNote): boolean {
    const peer = this.peers.find(({ id }) => id === gateway);
    if (peer === undefined || this.notes === "none") return false;
    const wayMs = this.#random() * (this.notes === "late" ? 4000 : 5);
    void this.#clock.sleep(wayMs).then(async () => {
      const { site: whole, process } = peer;
      await process.awake();
      whole.told(this.id, note);
    });
    return true;
  }
}
