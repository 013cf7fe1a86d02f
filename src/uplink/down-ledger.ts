import { totalOf } from "../base/counts.ts";
import { REFUSALS, type Refusal } from "./command-reasons.ts";

/** received = accepted + duplicates + refused(reason) + waiting, since the start. */
export interface DownBalance {
  /** PUBLISH packets of the cloud, those that came again included. */
  readonly received: number;
  /** Given to the router, on disk and acknowledged. */
  readonly accepted: number;
  readonly duplicates: number;
  readonly refused: Readonly<Record<Refusal, number>>;
  /** On the way to the disk. */
  readonly waiting: number;
  /** Accepted in time, but on disk and delivered only after their deadline: the disk was slow. */
  readonly late: number;
  readonly answers: number;
  /** Answers that nobody gets: the topic is none, would come back, or the cloud refused. */
  readonly answersFailed: number;
}

export class DownLedger {
  received = 0;
  accepted = 0;
  duplicates = 0;
  late = 0;
  answers = 0;
  answersFailed = 0;
  readonly #refused = Object.fromEntries(REFUSALS.map((reason) => [reason, 0])) as Record<
    Refusal,
    number
  >;

  /** Returns how often now. */
  refused(reason: Refusal): number {
    return ++this.#refused[reason];
  }

  balance(): DownBalance {
    const { received, accepted, duplicates, late, answers, answersFailed } = this;
    const refused = { ...this.#refused };
    const settled = accepted + duplicates + totalOf(refused);
    const waiting = received - settled;
    return { received, accepted, duplicates, refused, waiting, late, answers, answersFailed };
  }
}
