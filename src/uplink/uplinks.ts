import type { Service } from "../base/service.ts";
import type { Uplink, UplinkStatus } from "./uplink.ts";

/** Uplinks that come while the gateway runs: one for each journal of another gateway that this one has a copy of. */
export class Uplinks implements Service {
  readonly name = "uplinks";
  readonly #uplinks = new Map<string, Uplink>();
  #life = new AbortController();

  /** Begins at once. A journal that has one keeps it. */
  async add(journal: string, uplink: Uplink): Promise<void> {
    if (this.#uplinks.has(journal) || this.#life.signal.aborted) return;
    this.#uplinks.set(journal, uplink);
    await uplink.start(this.#life.signal);
  }

  /** Resolves when it is stopped. */
  async remove(journal: string): Promise<void> {
    const uplink = this.#uplinks.get(journal);
    this.#uplinks.delete(journal);
    await uplink?.stop();
  }

  status(): ReadonlyMap<string, UplinkStatus> {
    return new Map([...this.#uplinks].map(([journal, uplink]) => [journal, uplink.status()]));
  }

  async settle(): Promise<void> {
    await Promise.all([...this.#uplinks.values()].map((uplink) => uplink.settle()));
  }

  async start(): Promise<void> {}

  async stop(): Promise<void> {
    this.#life.abort();
    await Promise.all([...this.#uplinks.values()].map((uplink) => uplink.stop()));
  }
}
