import { createHmac, randomBytes } from "node:crypto";
import type { Clock } from "../base/clock.ts";
import { errorFields } from "../base/errors.ts";
import type { Log } from "../base/log.ts";
import { CheckTurns, LINES } from "./check-turns.ts";
import { COST, type PasswordHash } from "./phc.ts";
import type { User } from "./users-text.ts";

/** Compares a password with a hash, one at a time. */
export interface PasswordJudge {
  /** May reject. */
  isPassword(password: Buffer, known: PasswordHash): Promise<boolean>;
  stop(): Promise<void>;
}

export interface PasswordLimits {
  /** Passwords that wait to be checked. */
  readonly checksMax: number;
  /** Passwords known to be right that are remembered. */
  readonly knownMax: number;
}

/** What the checking of passwords looks like now, and what became of those that were checked. */
export interface PasswordStatus {
  readonly waiting: number;
  readonly known: number;
  /** Known to be right, and not remembered for want of room: the next login has to be checked. */
  readonly forgotten: number;
  readonly checked: number;
  /** Could not be checked: CONNACK 3. */
  readonly failed: number;
}

/** Where a password comes from. */
export interface PasswordSource {
  /** The user it says it is. */
  readonly name: string;
  /** One address, or one /64 of IPv6. */
  readonly network: string;
  /** Somebody there has guessed wrong before. */
  readonly suspect: boolean;
  /** Asked when its turn has come: others from there may have guessed wrong meanwhile. */
  mayGo(): boolean;
}

/** `late`: somebody there has guessed wrong meanwhile; `full`: too many wait; `failed`: there is no finding it out now. */
export type PasswordVerdict = "right" | "wrong" | "late" | "full" | "failed";

interface Check extends Omit<PasswordSource, "name"> {
  readonly line: number;
  readonly password: Buffer;
  readonly known: PasswordHash;
  readonly judged: (verdict: PasswordVerdict) => void;
}

/** A line of the log for all failures of so long. */
const TOLD_EVERY_MS = 60_000;

/** For users that do not exist: they must not be told apart by the time it takes. */
const NOBODY: PasswordHash = { ...COST, salt: randomBytes(16), hash: randomBytes(32) };

/**
 * Checks passwords one after the other, in turns: scrypt is made to be slow. A password that was right is remembered, as a keyed
 * hash that means nothing outside this process, so that a thousand clients that come back after a power cut need no minute of
 * hashing.
 */
export class PasswordCheck {
  readonly #judge: PasswordJudge;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #knownMax: number;
  readonly #key: Buffer;
  /** Those used longest ago in front. */
  readonly #known = new Set<string>();
  readonly #turns: CheckTurns<Check>;
  #isBusy = false;
  #isStopped = false;
  #forgotten = 0;
  #checked = 0;
  #failed = 0;
  #toldMs = Number.NEGATIVE_INFINITY;

  /** @param key of this process only */
  constructor(
    { checksMax, knownMax }: PasswordLimits,
    judge: PasswordJudge,
    { clock, log }: { readonly clock: Clock; readonly log: Log },
    key: Buffer = randomBytes(32),
  ) {
    this.#key = key;
    this.#judge = judge;
    this.#clock = clock;
    this.#log = log;
    this.#knownMax = knownMax;
    this.#turns = new CheckTurns(checksMax);
  }

  get status(): PasswordStatus {
    const [forgotten, checked, failed] = [this.#forgotten, this.#checked, this.#failed];
    return { waiting: this.#turns.size, known: this.#known.size, forgotten, checked, failed };
  }

  /** Whether that is the user's password. A user who is not there has none. Never rejects. */
  async verdict(
    user: User | undefined,
    password: Buffer,
    { name, ...from }: PasswordSource,
  ): Promise<PasswordVerdict> {
    const mark = this.#mark(JSON.stringify([user?.name, user?.secret]), password).toString(
      "base64",
    );
    if (user !== undefined && this.#known.delete(mark)) {
      this.#known.add(mark);
      return "right";
    }
    const known = user?.password ?? NOBODY;
    const line = (this.#mark(name)[0] ?? 0) % LINES; // nobody can tell who shares one
    const found = await new Promise<PasswordVerdict>((judged) => {
      this.#turns.push({ ...from, line, password, known, judged })?.judged("full");
      void this.#work();
    });
    if (found !== "right") return found;
    if (!user?.password) return "wrong";
    this.#remember(mark);
    return "right";
  }

  /** Those who wait are not checked any more: nobody's password is right. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    for (let next = this.#turns.shift(); next; next = this.#turns.shift()) next.judged("failed");
    await this.#judge.stop();
  }

  async #work(): Promise<void> {
    if (this.#isBusy) return;
    this.#isBusy = true;
    for (let next = this.#turns.shift(); next; next = this.#turns.shift()) {
      next.judged(next.mayGo() ? await this.#judged(next) : "late");
      await new Promise<void>((resolve) => this.#clock.afterTurn(resolve)); // a failure counts for the next one
    }
    this.#isBusy = false;
  }

  async #judged({ password, known, network }: Check): Promise<PasswordVerdict> {
    try {
      const isRight = await this.#judge.isPassword(password, known);
      this.#checked++;
      if (isRight) return "right";
      this.#turns.distrust(network);
      return "wrong";
    } catch (error) {
      this.#tell(error);
      return "failed";
    }
  }

  #tell(error: unknown): void {
    if (this.#isStopped) return;
    this.#failed++;
    const nowMs = this.#clock.monotonicMs();
    if (nowMs - this.#toldMs < TOLD_EVERY_MS) return;
    this.#toldMs = nowMs;
    this.#log.error("password not checked", { ...errorFields(error), failed: this.#failed });
  }

  #remember(mark: string): void {
    this.#known.add(mark);
    if (this.#known.size <= this.#knownMax) return;
    this.#forgotten++;
    const [oldest] = this.#known;
    if (oldest !== undefined) this.#known.delete(oldest);
  }

  #mark(...parts: readonly (string | Buffer)[]): Buffer {
    const keyed = createHmac("sha256", this.#key);
    for (const part of parts) keyed.update(part);
    return keyed.digest();
  }
}
