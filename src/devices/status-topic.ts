import type { Clock } from "../base/clock.ts";
import { errorFields } from "../base/errors.ts";
import type { Log } from "../base/log.ts";
import type { Service } from "../base/service.ts";
import type { DeviceConfig } from "../config/schema.ts";
import type { Device, DeviceSink } from "./device.ts";
import { type Identity, topicOf } from "./mapping.ts";

const LOOK_MS = 1000;

/**
 * Says on a retained topic how a device is: when it comes or goes, when a slave of it does, and each `statusSeconds`. When the
 * gateway stops it says that the device is offline; what a gateway that died has left there, its next start corrects first.
 */
export class StatusTopic implements Service {
  readonly name: string;
  readonly #config: DeviceConfig;
  readonly #device: Device;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #sink: DeviceSink;
  readonly #topic: string;
  #saying: Promise<void> | null = null;
  /** What was said last: `null` before the first. */
  #said: string | null = null;
  #saidMs = 0;
  #stopLooking = () => {};

  constructor(
    config: DeviceConfig,
    device: Device,
    tools: {
      readonly clock: Clock;
      readonly log: Log;
      readonly identity: Identity;
      readonly sink: DeviceSink;
    },
  ) {
    this.name = `status of ${config.name}`;
    this.#config = config;
    this.#device = device;
    this.#clock = tools.clock;
    this.#log = tools.log.part("devices");
    this.#sink = tools.sink;
    this.#topic = topicOf(config.statusTopic, { ...tools.identity, device: config.name });
  }

  async start(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    this.#look();
    this.#stopLooking = this.#clock.every(LOOK_MS, () => this.#look());
  }

  /** Resolves when "offline" is kept, or was refused. */
  async stop(): Promise<void> {
    this.#stopLooking();
    await this.#saying;
    await this.#say(false, "stopped");
  }

  #look(): void {
    if (this.#saying !== null) return;
    const { reason, slaves = [] } = this.#device.status();
    const online = this.#isOnline();
    const present = slaves.filter((slave) => slave.online).map(({ name }) => name);
    const now = JSON.stringify([online, reason, present]);
    const everyMs = this.#config.statusSeconds * 1000;
    const isDue = everyMs > 0 && this.#clock.monotonicMs() - this.#saidMs >= everyMs;
    if (now === this.#said && !isDue) return;
    this.#saying = this.#say(online, reason).then((kept) => {
      this.#saying = null;
      if (kept) this.#said = now;
    });
  }

  /** Online is a device whose port is open, and that was heard lately; of slaves, at least one. */
  #isOnline(): boolean {
    const { state, lastFrameMs, slaves } = this.#device.status();
    if (state !== "open") return false;
    if (slaves !== undefined) return slaves.some(({ online }) => online);
    const silenceMs = this.#config.silenceSeconds * 1000;
    return silenceMs === 0 || this.#device.silentForMs() < silenceMs || lastFrameMs === null;
  }

  async #say(online: boolean, reason: string | null): Promise<boolean> {
    const { state: _state, reason: _reason, name: _name, ...rest } = this.#device.status();
    const payload = Buffer.from(JSON.stringify({ online, reason, ...rest }));
    this.#saidMs = this.#clock.monotonicMs();
    try {
      const said = { topic: this.#topic, payload, qos: 1, retain: true, properties: null } as const;
      await this.#sink.admit(said);
      return true;
    } catch (error) {
      this.#log.warn("status not kept", { device: this.#config.name, ...errorFields(error) });
      return false;
    }
  }
}
