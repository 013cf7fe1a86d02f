import type { Plug } from "./plug.ts";

/** A plug and whoever pulls it: pulled and plugged in one after the other, however often and soon that is asked. */
export class Cord {
  readonly #plug: Plug;
  #turn: Promise<void> = Promise.resolve();
  #outage: NodeJS.Timeout | null = null;
  #stopped = false;
  /** Times that it was plugged in again. */
  replugged = 0;

  constructor(plug: Plug) {
    this.#plug = plug;
  }

  get port(): string {
    return this.#plug.port;
  }

  async start(): Promise<void> {
    await this.#plug.plugIn();
  }

  /** Resolves when it is pulled, for good. */
  async stop(): Promise<void> {
    this.#stopped = true;
    if (this.#outage !== null) clearTimeout(this.#outage);
    await this.pull();
  }

  pull(): Promise<void> {
    this.#turn = this.#turn.then(() => this.#plug.pull());
    return this.#turn;
  }

  plugIn(): Promise<void> {
    this.#turn = this.#turn.then(async () => {
      if (this.#stopped) return;
      await this.#plug.plugIn();
      this.replugged += 1;
    });
    return this.#turn;
  }

  /** Pulled for so long; nothing while it is pulled like that already. */
  fallOut(outageMs: number): void {
    if (this.#outage !== null || this.#stopped) return;
    void this.pull();
    this.#outage = setTimeout(() => {
      this.#outage = null;
      void this.plugIn();
    }, outageMs);
  }
}
