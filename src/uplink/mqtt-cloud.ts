import type { Clock } from "../base/clock.ts";
import { FieldgateError } from "../base/errors.ts";
import type { UplinkConfig } from "../config/schema.ts";
import type { Cloud, CloudConnection, CloudListener, DropReason } from "./cloud.ts";
import { parseEndpoint } from "./endpoints.ts";
import { readCredentials } from "./file-credentials.ts";
import { MqttCloudClient } from "./mqtt-client.ts";
import type { GatewayIdentity } from "./rules.ts";
import type { SourceEntry } from "./source.ts";

export interface MqttCloudTools {
  readonly clock: Clock;
  readonly identity: GatewayIdentity;
  /** Whose id goes with every message; read when a connection is opened. */
  readonly journal: { readonly id: string };
}

/**
 * The cloud behind any standard MQTT broker: version 5, or 3.1.1 where the broker refuses 5. An endpoint that said so in
 * its CONNACK is remembered; one that only hung up on the CONNECT of version 5 is asked again the next time, because a
 * broker that is just being restarted hangs up too.
 *
 * One connection carries all lanes. Priority is then decided at one place, for each message as it leaves, instead of by
 * the queues of three sockets; the site costs the cloud one client; the server's Receive Maximum is one budget.
 */
export function mqttCloud(options: UplinkConfig, tools: MqttCloudTools): Cloud {
  const oldEndpoints = new Set<string>();
  return {
    open(endpoint, listener) {
      const dial = new Dial(endpoint, listener, options, tools, oldEndpoints);
      dial.begin();
      return dial;
    },
  };
}

/** One opening of a connection: one attempt with version 5, and when that is not understood, one with 3.1.1. */
class Dial implements CloudConnection {
  readonly #endpoint: string;
  readonly #listener: CloudListener;
  readonly #options: UplinkConfig;
  readonly #tools: MqttCloudTools;
  readonly #oldEndpoints: Set<string>;
  #client: MqttCloudClient | null = null;
  #over = false;
  #begun: Promise<void> = Promise.resolve();

  constructor(
    endpoint: string,
    listener: CloudListener,
    options: UplinkConfig,
    tools: MqttCloudTools,
    oldEndpoints: Set<string>,
  ) {
    this.#endpoint = endpoint;
    this.#listener = listener;
    this.#options = options;
    this.#tools = tools;
    this.#oldEndpoints = oldEndpoints;
  }

  begin(): void {
    const protocol = this.#oldEndpoints.has(this.#endpoint) ? "3.1.1" : "5";
    this.#begun = this.#connect(protocol);
  }

  send(token: number, entry: SourceEntry, remoteTopic: string, qos: 1 | 2): number | DropReason {
    return this.#opened.send(token, entry, remoteTopic, qos);
  }

  flush(): void {
    this.#opened.flush();
  }

  async close(how: "politely" | "at once"): Promise<void> {
    this.#over = true;
    await this.#begun;
    await this.#client?.close(how);
  }

  get #opened(): MqttCloudClient {
    if (this.#client === null) throw new Error("assertion failed: used before it was opened");
    return this.#client;
  }

  async #connect(protocol: "5" | "3.1.1"): Promise<void> {
    try {
      const address = parseEndpoint(this.#endpoint);
      if (address === null) throw notAnEndpoint(this.#endpoint);
      const credentials = await readCredentials(this.#options);
      if (this.#over) return;
      this.#client = new MqttCloudClient(
        { address, protocol, credentials, options: this.#options, ...this.#tools },
        {
          ...this.#whileOpen,
          closed: (error, notUnderstood) => this.#ended(protocol, error, notUnderstood),
        },
      );
      this.#client.connect();
    } catch (error) {
      if (!(error instanceof FieldgateError)) throw error;
      this.#end(error);
    }
  }

  get #whileOpen(): Omit<CloudListener, "closed"> {
    const listener = this.#listener;
    return {
      opened: (terms) => this.#over || listener.opened(terms),
      acknowledged: (token) => this.#over || listener.acknowledged(token),
      refused: (token, reason) => this.#over || listener.refused(token, reason),
    };
  }

  #ended(
    protocol: "5" | "3.1.1",
    error: FieldgateError,
    notUnderstood: "said so" | "hung up" | "no",
  ): void {
    if (this.#over) return;
    if (protocol === "3.1.1" || notUnderstood === "no") {
      this.#end(error);
      return;
    }
    if (notUnderstood === "said so") this.#oldEndpoints.add(this.#endpoint);
    this.#begun = this.#connect("3.1.1");
  }

  #end(error: FieldgateError): void {
    if (this.#over) return;
    this.#over = true;
    this.#listener.closed(error);
  }
}

function notAnEndpoint(endpoint: string): FieldgateError {
  return new FieldgateError("ERR_CONFIG_INVALID", "not an address of a broker", {
    details: { endpoint, expected: "mqtt://host:port or mqtts://host:port" },
  });
}
