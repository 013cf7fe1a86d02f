import type { Clock } from "../base/clock.ts";
import { errorFields, FieldgateError } from "../base/errors.ts";
import type { Log } from "../base/log.ts";
import type { Random } from "../base/random.ts";
import { type Watchable, Watched } from "../base/watchable.ts";
import { EtcdMirror } from "./etcd-mirror.ts";
import type { Etcd, EtcdEntry, Put } from "./etcd-port.ts";
import { type Keys, type Member, readMember, writeMember } from "./records.ts";
import { UnknownKeys } from "./unknown-keys.ts";

export interface MembershipTools {
  readonly clock: Clock;
  readonly log: Log;
  readonly random: Random;
  readonly etcd: Etcd;
  readonly keys: Keys;
  readonly ttlSeconds: number;
  /** This gateway as it is now. `id`, `run` and `journal` do not change. */
  readonly self: () => Member;
  /** Told whether this gateway belongs to the site: it registered, or another one has its id. */
  readonly admitted: (isMember: boolean) => void;
}

/**
 *   joining ──registered──▶ registered ──registration lost──▶ joining
 *      │                        │
 *      │ another store's        │ we replaced a registration, and who had made
 *      │ stays                  │ it is alive and takes it back
 *      └──────▶ duplicate ◀─────┘
 *                   └──no registration under our id──▶ joining
 */
type Registration =
  | { readonly at: "joining"; readonly otherSinceMs: number | null }
  | {
      readonly at: "registered";
      readonly lease: string;
      readonly written: string;
      readonly writtenMs: number;
      /** The run whose registration we replaced. */
      readonly replaced: string | null;
    }
  | { readonly at: "duplicate" };

const ROUND_MS_MAX = 1000;
/** What has changed is told that often at most. A round that comes a little early counts. */
const WRITE_EVERY_MS = 900;
/** etcd looks for ended leases every half a second. */
const SLACK_MS = 1000;

/**
 * This gateway's registration, and those of all gateways of the site.
 *
 * A registration that is there already may be our own, left by a crash, or that of a gateway with the same id. With another
 * journal it is waited for until it must have ended. With our journal it is replaced at once; but a disk may have
 * been copied, so one that was replaced and is alive takes it back, and the one that replaced it stands back.
 */
export class EtcdMembership {
  readonly unknown: UnknownKeys;
  readonly #tools: MembershipTools;
  readonly #mirror: EtcdMirror;
  readonly #members = new Watched<readonly Member[]>([]);
  #registration: Registration = { at: "joining", otherSinceMs: null };
  #isLooking = false;
  #isSilent = false;
  #failures = 0;
  #lastError: FieldgateError | null = null;
  #nap = new AbortController();
  #isStopping = false;
  #rounds: Promise<void> = Promise.resolve();

  constructor(tools: MembershipTools) {
    const { clock, log, random, etcd, keys } = tools;
    const changed = () => this.#look();
    this.#tools = tools;
    this.unknown = new UnknownKeys(log);
    this.#mirror = new EtcdMirror(etcd, keys.gateways, { clock, log, random, changed });
  }

  /** Everyone who is registered, this gateway too, by id. */
  get members(): Watchable<readonly Member[]> {
    return this.#members;
  }

  get state(): Registration["at"] {
    return this.#registration.at;
  }

  get counters() {
    return { garbage: this.unknown.count, failures: this.#failures };
  }

  /** Whether the last request to etcd failed. */
  get isSilent(): boolean {
    return this.#isSilent;
  }

  /** Why it does not belong to the site. */
  get lastError(): FieldgateError | null {
    return this.#lastError;
  }

  /** Begins. Never waits for etcd. */
  start(): void {
    this.#mirror.start();
    this.#rounds = this.#runRounds();
  }

  /** Gives the registration back, when etcd answers. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    this.#nap.abort();
    await Promise.all([this.#rounds, this.#mirror.stop()]);
    const registration = this.#registration;
    if (registration.at !== "registered") return;
    await this.#tools.etcd.revoke(registration.lease).catch((error) => this.#failed(error));
  }

  async #runRounds(): Promise<void> {
    const { clock, ttlSeconds } = this.#tools;
    const everyMs = Math.min(ROUND_MS_MAX, ttlSeconds * 200);
    while (!this.#isStopping) {
      this.#nap = new AbortController();
      await this.#round().then(
        () => this.#answered(),
        (error: unknown) => this.#failed(error),
      );
      if (this.#isStopping) return;
      await clock.sleep(everyMs, this.#nap.signal).catch(() => undefined);
    }
  }

  async #round(): Promise<void> {
    const registration = this.#registration;
    if (registration.at !== "registered") return this.#join();
    const { lease, written, writtenMs } = registration;
    if ((await this.#tools.etcd.renew(lease)) === null) return this.#rejoin();
    if (this.#registration !== registration) return;
    const own = this.#own();
    if (own === undefined || own.lease !== lease) return this.#lookAtOwn();
    const value = writeMember(this.#tools.self());
    const nowMs = this.#tools.clock.monotonicMs();
    if (value === written || nowMs - writtenMs < WRITE_EVERY_MS) return;
    const { key, modRevision } = own;
    this.#registration = { ...registration, written: value, writtenMs: nowMs };
    await this.#tools.etcd.commit([{ key, is: "unchanged", modRevision }], [{ key, value, lease }]);
  }

  /** Registers, unless another gateway has. */
  async #join(): Promise<void> {
    const { clock, etcd, keys, self, ttlSeconds } = this.#tools;
    await this.#mirror.refresh();
    const there = this.#own();
    const other = there === undefined ? null : readMember(there, keys);
    if (there !== undefined && !this.#mayReplace(other)) return;
    const { lease } = await etcd.grant(ttlSeconds);
    const [key, value] = [keys.gateway(self().id), writeMember(self())];
    const when = { key, is: "unchanged", modRevision: there?.modRevision ?? 0 } as const;
    if (this.#isStopping || !(await etcd.commit([when], [{ key, value, lease }]))) {
      return etcd.revoke(lease);
    }
    // Before that, the registration that we see may be the one that we have just replaced.
    await this.#mirror.refresh();
    const writtenMs = clock.monotonicMs();
    const replaced = other?.run ?? null;
    this.#registration = { at: "registered", lease, written: value, writtenMs, replaced };
    this.#lastError = null;
    this.#tools.log.info("registered", { gateway: self().id, replaced });
    this.#tools.admitted(true);
    this.#lookAtOwn();
  }

  #mayReplace(other: Member | null): boolean {
    const { clock, self, ttlSeconds, log } = this.#tools;
    const registration = this.#registration;
    if (registration.at === "duplicate") return false;
    if (registration.at !== "joining" || other === null) return true;
    if (other.journal === self().journal) return true;
    const nowMs = clock.monotonicMs();
    const otherSinceMs = registration.otherSinceMs ?? nowMs;
    this.#registration = { at: "joining", otherSinceMs };
    if (otherSinceMs === nowMs) {
      log.warn("another gateway is registered under this id: waiting for it to go", who(other));
    }
    if (nowMs - otherSinceMs >= ttlSeconds * 1000 + SLACK_MS) this.#standBack(other);
    return false;
  }

  #standBack(other: Member | null): void {
    const { id } = this.#tools.self();
    this.#registration = { at: "duplicate" };
    const message = `another gateway with the id ${id} is running: this one takes no part in the site. Give one of them another gateway.id`;
    this.#lastError = new FieldgateError("ERR_SITE_DUPLICATE", message, {
      details: other === null ? {} : who(other),
    });
    this.#tools.log.error(message, errorFields(this.#lastError));
    this.#tools.admitted(false);
  }

  /** The members, and whether our registration is still ours. */
  #look(): void {
    const { keys } = this.#tools;
    const members: Member[] = [];
    const unknown: string[] = [];
    for (const entry of this.#mirror.entries.values()) {
      const member = readMember(entry, keys);
      if (member === null) unknown.push(entry.key);
      else members.push(member);
    }
    this.unknown.seen(unknown);
    members.sort((a, b) => (a.id < b.id ? -1 : 1));
    if (JSON.stringify(members) !== JSON.stringify(this.#members.get())) this.#members.set(members);
    this.#lookAtOwn();
  }

  #lookAtOwn(): void {
    const { keys, self } = this.#tools;
    const registration = this.#registration;
    if (registration.at !== "registered" || this.#isLooking || this.#isStopping) return;
    const own = this.#own();
    if (own?.lease === registration.lease) return;
    const other = own === undefined ? null : readMember(own, keys);
    if (other !== null && other.run === self().run) {
      this.#rejoin();
    } else if (other !== null && other.run === registration.replaced) {
      this.#standBack(other);
    } else {
      this.#isLooking = true;
      void this.#takeBack(own, other, registration.lease)
        .catch((error: unknown) => this.#failed(error))
        .finally(() => {
          this.#isLooking = false;
        });
    }
  }

  /** Someone has deleted or replaced what we had registered. */
  async #takeBack(own: EtcdEntry | undefined, other: Member | null, lease: string): Promise<void> {
    const { etcd, keys, log, self } = this.#tools;
    const key = keys.gateway(self().id);
    if (other !== null) log.error("another gateway has registered under this id", who(other));
    const put: Put = { key, value: writeMember(self()), lease };
    const when = { key, is: "unchanged", modRevision: own?.modRevision ?? 0 } as const;
    await etcd.commit([when], [put]).catch(() => this.#rejoin());
    await this.#mirror.refresh();
  }

  #rejoin(): void {
    this.#registration = { at: "joining", otherSinceMs: null };
    this.#nap.abort();
  }

  #own(): EtcdEntry | undefined {
    const { keys, self } = this.#tools;
    return this.#mirror.entries.get(keys.gateway(self().id));
  }

  #answered(): void {
    this.#isSilent = false;
  }

  #failed(error: unknown): void {
    this.#failures++;
    if (!this.#isSilent) this.#tools.log.warn("not registered anew", errorFields(error));
    this.#isSilent = true;
  }
}

function who({ run, address, version, journal }: Member): Record<string, unknown> {
  return { otherRun: run, otherAddress: address, otherVersion: version, otherJournal: journal };
}
