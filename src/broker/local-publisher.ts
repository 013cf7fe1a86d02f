import { FieldgateError } from "../base/errors.ts";
import type { Publisher } from "./intake.ts";

/** One who publishes from within, in order. Each publication resolves when it is kept. */
export class LocalPublisher implements Publisher {
  readonly clientId: string;
  lastSeq = 0;
  published = 0;
  behindBytes = 0;
  readonly holdsRefused: boolean;
  #token = 0;
  readonly #waiting = new Map<number, () => void>();

  /**
   * @param clientId on whose behalf it publishes: a client, or a name of our own
   * @param holdsRefused whether what is refused comes again
   */
  constructor(clientId: string, holdsRefused = false) {
    this.clientId = clientId;
    this.holdsRefused = holdsRefused;
  }

  accepted(token: number): void {
    const resolve = this.#waiting.get(token);
    this.#waiting.delete(token);
    resolve?.();
  }

  /** @param admit takes the message, with the token to give back; returns why it was refused, or null */
  publish(admit: (token: number) => string | null): Promise<void> {
    const { refusal, kept } = this.offer(admit);
    return refusal === null ? kept : Promise.reject(refusal);
  }

  /** As `publish`, but a refusal is known at once. */
  offer(admit: (token: number) => string | null): Offered {
    const token = this.#token++;
    const before = this.lastSeq;
    const refusal = admit(token);
    if (refusal !== null) {
      return notTaken(new FieldgateError("ERR_STORE_FULL", refusal));
    }
    if (this.lastSeq === before) return { refusal: null, kept: Promise.resolve() }; // QoS 0 that nobody must keep
    const kept = new Promise<void>((resolve) => {
      this.#waiting.set(token, resolve);
    });
    return { refusal: null, kept };
  }
}

/** What became of a message that was offered: why it was not taken, or when it is kept. */
export interface Offered {
  readonly refusal: FieldgateError | null;
  readonly kept: Promise<void>;
}

export function notTaken(refusal: FieldgateError): Offered {
  return { refusal, kept: NEVER };
}

const NEVER = new Promise<never>(() => {});
