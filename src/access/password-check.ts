import { createHmac, randomBytes } from "node:crypto";
import type { Clock } from "../base/clock.ts";
import { CheckTurns } from "./check-turns.ts";
import { COST, type PasswordHash } from "./phc.ts";
import type { User } from "./users-text.ts";

/** Compares a password with a hash, one at a time. */
export interface PasswordJudge {
  /** May reject. */
  isPassword(password: Buffer, known: PasswordHash): Promise<boolean>;
  stop(): Promise<void>;
}

/** Where a password comes from. */
export interface PasswordSource {
  /** One address, or one /64 of IPv6. */
  readonly network: string;
  /** Somebody there has guessed wrong lately. */
  readonly suspect: boolean;
  /** Asked when its turn has come: others from there may have guessed wrong meanwhile. */
  mayGo(): boolean;
}

/** `late`: somebody there has guessed wrong meanwhile; `full`: too many wait; `failed`: there is no finding it out now. */
export type PasswordVerdict = "right" | "wrong" | "late" | "full" | "failed";

interface Check extends PasswordSource {
  readonly password: Buffer;
  readonly known: PasswordHash;
  readonly judged: (verdict: PasswordVerdict) => void;
}

/** Passwords known to be right that are remembered. */
const KNOWN_MAX = 2000;

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
  readonly #key = randomBytes(32);
  readonly #known = new Set<string>();
  readonly #turns: CheckTurns<Check>;
  #isBusy = false;

  constructor(checksMax: number, judge: PasswordJudge, clock: Clock) {
    this.#judge = judge;
    this.#clock = clock;
    this.#turns = new CheckTurns(checksMax);
  }

  /** Whether that is the user's password. A user who is not there has none. Never rejects. */
  async verdict(
    user: User | undefined,
    password: Buffer,
    from: PasswordSource,
  ): Promise<PasswordVerdict> {
    const mark = createHmac("sha256", this.#key)
      .update(JSON.stringify([user?.name, user?.secret]))
      .update(password)
      .digest("base64");
    if (user !== undefined && this.#known.has(mark)) return "right";
    const known = user?.password ?? NOBODY;
    const found = await new Promise<PasswordVerdict>((judged) => {
      this.#turns.push({ ...from, password, known, judged })?.judged("full");
      void this.#work();
    });
    if (found !== "right") return found;
    if (!user?.password) return "wrong";
    this.#remember(mark);
    return "right";
  }

  /** Those who wait are not checked any more: nobody's password is right. */
  async stop(): Promise<void> {
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

  async #judged({ password, known }: Check): Promise<PasswordVerdict> {
    try {
      return (await this.#judge.isPassword(password, known)) ? "right" : "wrong";
    } catch {
      return "failed";
    }
  }

  #remember(mark: string): void {
    if (this.#known.size >= KNOWN_MAX) this.#known.clear();
    this.#known.add(mark);
  }
}
