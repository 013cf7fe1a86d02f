import { connectAsync, type IPublishPacket, type MqttClient } from "mqtt";
import { until } from "./until.ts";

const QUIET_MS = 250;

/** A message as it came to the cloud. */
export interface Arrival {
  readonly topic: string;
  readonly payload: string;
  readonly qos: number;
  readonly retain: boolean;
  /** MQTT 5 user properties. */
  readonly user: Readonly<Record<string, string | readonly string[]>>;
  /** What makes it the same message as another one. */
  readonly id: string;
}

export interface CloudReceiverOptions {
  readonly port: number;
  readonly filter?: string;
  readonly protocol?: 4 | 5;
  readonly clientId?: string;
  /** By default the identity `(fg-journal, fg-seq)`, and without it the payload. */
  readonly idOf?: (arrival: Omit<Arrival, "id">) => string;
  /** Called for each arrival instead of keeping it: for benches and long runs. */
  readonly onArrival?: (topic: string, payload: Buffer) => void;
}

/**
 * The far side of the uplink, for tests: subscribes at the cloud's broker at QoS 1 with a session that outlives both
 * sides' restarts, and tells first arrivals from repeated ones.
 */
export class CloudReceiver {
  /** First arrivals, in order. */
  readonly first: Arrival[] = [];
  duplicates = 0;
  /** Distinct messages. */
  readonly ids = new Set<string>();
  readonly #client: MqttClient;
  readonly #filter: string;

  private constructor(client: MqttClient, filter: string) {
    this.#client = client;
    this.#filter = filter;
  }

  /** Resolves when the subscription stands. */
  static async start(options: CloudReceiverOptions): Promise<CloudReceiver> {
    const protocol = options.protocol ?? 5;
    const client = await connectAsync({
      host: "127.0.0.1",
      port: options.port,
      clientId: options.clientId ?? "cloud-receiver",
      protocolVersion: protocol,
      clean: false,
      reconnectPeriod: 50,
      ...(protocol === 5 ? { properties: { sessionExpiryInterval: 3600 } } : {}),
    });
    const filter = options.filter ?? "#";
    const receiver = new CloudReceiver(client, filter);
    client.on("error", () => undefined);
    client.on("message", (topic, payload, packet) => {
      if (options.onArrival) options.onArrival(topic, payload);
      else receiver.#arrived(topic, payload, packet, options.idOf ?? identityOf);
    });
    await client.subscribeAsync(filter, { qos: 1 });
    return receiver;
  }

  /** Resolves when it is connected and its subscription stands: after the cloud's broker has lost its memory. */
  async standsAgain(): Promise<void> {
    await until("the receiver connected", () => this.#client.connected);
    await this.#client.subscribeAsync(this.#filter, { qos: 1 });
  }

  /** Resolves when nothing more has come for a while. */
  async settled(): Promise<void> {
    let before = -1;
    await until("no more arrivals", async () => {
      const now = this.first.length + this.duplicates;
      const same = now === before;
      before = now;
      if (!same) await new Promise((resolve) => setTimeout(resolve, QUIET_MS));
      return same;
    });
  }

  async stop(): Promise<void> {
    await this.#client.endAsync(true);
  }

  /** The first arrivals of one topic, in order. */
  of(topic: string): Arrival[] {
    return this.first.filter((arrival) => arrival.topic === topic);
  }

  #arrived(
    topic: string,
    payload: Buffer,
    packet: IPublishPacket,
    idOf: (arrival: Omit<Arrival, "id">) => string,
  ): void {
    const { qos, retain } = packet;
    const user = { ...(packet.properties?.userProperties ?? {}) };
    const bare = { topic, payload: payload.toString(), qos, retain, user };
    const id = idOf(bare);
    if (this.ids.has(id)) {
      this.duplicates++;
      return;
    }
    this.ids.add(id);
    this.first.push({ ...bare, id });
  }
}

function identityOf(arrival: Omit<Arrival, "id">): string {
  const { "fg-journal": journal, "fg-seq": seq } = arrival.user;
  return journal === undefined ? arrival.payload : `${journal}/${seq}`;
}
