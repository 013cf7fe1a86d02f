import { connectAsync, type MqttClient } from "mqtt";
import { type Mosquitto, startMosquitto } from "../../test/support/mosquitto.ts";

interface Sample {
  readonly ms: number;
  readonly count: number;
}

/** A mosquitto that everything is drained to, and that tells itself how much it has got: the same measure for all who drain. */
export class DrainReceiver {
  readonly broker: Mosquitto;
  readonly #samples: Sample[] = [];
  #watcher: MqttClient | null = null;

  private constructor(broker: Mosquitto) {
    this.broker = broker;
  }

  /** Away until `begin`. */
  static async make(): Promise<DrainReceiver> {
    const broker = await startMosquitto({ config: ["log_type error", "sys_interval 1"] });
    await broker.kill();
    return new DrainReceiver(broker);
  }

  async begin(): Promise<void> {
    await this.broker.start();
    const watcher = await connectAsync({ host: "127.0.0.1", port: this.broker.port });
    this.#watcher = watcher;
    watcher.on("message", (_topic, payload) => {
      this.#samples.push({ ms: performance.now(), count: Number(payload.toString()) });
    });
    await watcher.subscribeAsync("$SYS/broker/publish/messages/received");
  }

  get received(): number {
    return this.#samples.at(-1)?.count ?? 0;
  }

  /** Messages a second between the first and the last second in which it got some, up to so many. */
  perSecond(upTo: number): number {
    const moving = this.#samples.filter(({ count }) => count > 0 && count < upTo);
    const [first, last] = [moving[0], moving.at(-1)];
    if (first === undefined || last === undefined || first === last) return Number.NaN;
    return ((last.count - first.count) / (last.ms - first.ms)) * 1000;
  }

  async end(): Promise<void> {
    await this.#watcher?.endAsync(true);
    await this.broker.end();
  }
}
