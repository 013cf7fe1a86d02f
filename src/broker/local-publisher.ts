import { FieldgateError } from "../base/errors.ts";
import type { Publisher } from "./intake.ts";

/** One who publishes from within, in order. Each publication resolves when it is kept. */
export class LocalPublisher implements Publisher {
  readonly clientId: string;
  lastSeq = 0;
  #token = 0;
  readonly #waiting = new Map<number, () => void>();

  /** @param clientId on whose behalf it publishes: a client, or a name of our own */
  constructor(clientId: string) {
    this.clientId = clientId;
  }

  accepted(token: number): void {
    const resolve = this.#waiting.get(token);
    this.#waiting.delete(token);
    resolve?.();
  }

  /** @param admit takes the message, with the token to give back; returns why it was refused, or null */
  publish(admit: (token: number) => string | null): Promise<void> {
    const token = this.#token++;
    return new Promise((resolve, reject) => {
      const before = this.lastSeq;
      const refusal = admit(token);
      if (refusal !== null) reject(new FieldgateError("ERR_STORE_FULL", refusal));
      else if (this.lastSeq === before)
        resolve(); // QoS 0 that nobody must keep
      else this.#waiting.set(token, resolve);
    });
  }
}
