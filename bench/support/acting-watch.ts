import type { SiteGateway } from "../../test/support/site-gateway.ts";

interface Reign {
  readonly id: string;
  readonly epoch: number;
  /** Between these it acted for certain: the end of the first answer that said so, and the beginning of the last question. */
  readonly fromMs: number;
  toMs: number;
}

const ASK_EVERY_MS = 15;

/** Asks the gateways of a site again and again whether they act as primary. */
export class ActingWatch {
  readonly reigns: Reign[] = [];
  #isOver = false;
  readonly #asking: readonly Promise<void>[];

  constructor(gateways: readonly SiteGateway[]) {
    this.#asking = gateways.map((gateway) => this.#ask(gateway));
  }

  async end(): Promise<void> {
    this.#isOver = true;
    await Promise.all(this.#asking);
  }

  /** The longest time in which two are known to have acted. */
  get overlapMs(): number {
    const pairs = this.reigns.flatMap((one, at) =>
      this.reigns
        .slice(at + 1)
        .filter(({ id }) => id !== one.id)
        .map((other) => Math.min(one.toMs, other.toMs) - Math.max(one.fromMs, other.fromMs)),
    );
    return Math.max(0, ...pairs);
  }

  async #ask(gateway: SiteGateway): Promise<void> {
    while (!this.#isOver) {
      const askedMs = performance.now();
      const cluster = await gateway.status().then(
        (status) => status.cluster,
        () => null,
      );
      if (cluster?.mayAct === true && cluster.epoch !== null) {
        this.#acts(gateway.id, cluster.epoch, askedMs);
      }
      await new Promise((resolve) => setTimeout(resolve, ASK_EVERY_MS));
    }
  }

  #acts(id: string, epoch: number, askedMs: number): void {
    const reign = this.reigns.find((one) => one.id === id && one.epoch === epoch);
    if (reign === undefined) {
      this.reigns.push({ id, epoch, fromMs: performance.now(), toMs: askedMs });
    } else reign.toMs = Math.max(reign.toMs, askedMs);
  }
}
