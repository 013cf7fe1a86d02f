import type { Log } from "../../src/base/log.ts";
import { silentLog } from "../../src/base/log.ts";
import { systemClock } from "../../src/base/system-clock.ts";
import { LocalPublisher } from "../../src/broker/local-publisher.ts";
import type { DownConfig, UplinkConfig } from "../../src/config/schema.ts";
import type { Message } from "../../src/mqtt/message.ts";
import type { Taken } from "../../src/uplink/command-desk.ts";
import { type Downlink, downlink } from "../../src/uplink/downlink.ts";
import { mqttCommandCloud } from "../../src/uplink/mqtt-command-cloud.ts";
import { TestSite } from "./broker.ts";
import { downOptions } from "./down-options.ts";
import { uplinkOptions } from "./uplink-options.ts";

const IDENTITY = { gateway: "gw-a", site: "plant-7" };

export interface DownSiteOptions {
  readonly endpoints: readonly string[];
  readonly uplink?: Partial<UplinkConfig>;
  readonly down?: Partial<DownConfig>;
  readonly wallIsSure?: () => boolean;
  readonly log?: Log;
}

/** A broker on a journal in memory with a downlink to a cloud: what a gateway is for commands. */
export class DownSite {
  readonly site = new TestSite({});
  service: Downlink;
  /** Every message that the router was given, in order. */
  readonly routed: Message[] = [];
  /** Says of a message that there is no room for it. */
  refuses: (message: Message) => Taken["refusal"] = () => null;
  #options: DownSiteOptions;

  private constructor(options: DownSiteOptions) {
    this.#options = options;
    this.service = this.#downlink();
  }

  static async start(options: DownSiteOptions): Promise<DownSite> {
    const made = new DownSite(options);
    await made.site.start();
    made.service = made.#downlink();
    await made.service.start(new AbortController().signal);
    return made;
  }

  /** Payloads of what the router was given. */
  get payloads(): string[] {
    return this.routed.map(({ payload }) => Buffer.from(payload).toString());
  }

  /** Power is cut: only what was synced is left, and the next one starts on it. */
  async crash(): Promise<void> {
    const crashed = this.service;
    await this.site.restart("crash");
    await crashed.stop();
    this.service = this.#downlink();
    await this.service.start(new AbortController().signal);
  }

  /** Ends well, and begins anew on the same store with another configuration. */
  async reconfigure(down: Partial<DownConfig>): Promise<void> {
    await this.service.stop();
    this.#options = { ...this.#options, down };
    this.service = this.#downlink();
    await this.service.start(new AbortController().signal);
  }

  async stop(): Promise<void> {
    await this.service.stop();
    await this.site.stop();
  }

  #downlink(): Downlink {
    const { endpoints, uplink, down, wallIsSure = () => true, log = silentLog } = this.#options;
    const options = uplinkOptions({ endpoints: [...endpoints], ...uplink });
    const publisher = new LocalPublisher("downlink", true);
    const { journal, broker } = this.site; // those of now: who has crashed does nothing to those that come after
    return downlink(options, downOptions(down), {
      clock: systemClock,
      log,
      random: Math.random,
      identity: IDENTITY,
      journal,
      rows: journal.rows("downlink"),
      cloud: mqttCommandCloud(options, downOptions(down), {
        clock: systemClock,
        identity: IDENTITY,
      }),
      sink: {
        take: (message) => {
          const refusal = this.refuses(message);
          if (refusal !== null) return { refusal, kept: new Promise(() => {}) };
          const taken = broker.takeDown(message, publisher);
          if (taken.refusal === null) this.routed.push(message);
          return taken;
        },
      },
      wallIsSure,
    });
  }
}
