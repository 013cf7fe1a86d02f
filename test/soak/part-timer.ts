import { connect, type MqttClient } from "mqtt";
import { until } from "../support/until.ts";
import { Tally } from "./tally.ts";

/** A subscriber with a persistent session at QoS 1 that is there part of the time. */
export class PartTimer {
  readonly tally = new Tally("part-time subscriber");
  readonly #port: number;
  readonly #filter: string;
  #client: MqttClient | null = null;

  constructor(port: number, filter: string) {
    this.#port = port;
    this.#filter = filter;
  }

  /** Resolves when it is subscribed. */
  async come(): Promise<void> {
    if (this.#client !== null) return;
    const client = connect({
      host: "127.0.0.1",
      port: this.#port,
      clientId: "part-timer",
      clean: false,
      will: { topic: "away", payload: Buffer.from("part-timer"), qos: 1, retain: false },
      reconnectPeriod: 50,
    });
    this.#client = client;
    client.on("error", () => {});
    client.on("message", (_topic, payload) => this.tally.came(payload.toString()));
    await until("the part-time subscriber connected", () => client.connected);
    await client.subscribeAsync(this.#filter, { qos: 1 });
  }

  /** Goes as a client does whose cable is pulled. */
  async go(): Promise<void> {
    await this.#client?.endAsync(true);
    this.#client = null;
  }
}
