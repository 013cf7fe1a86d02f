import type { Clock } from "../base/clock.ts";
import { FieldgateError } from "../base/errors.ts";
import type { UplinkConfig } from "../config/schema.ts";
import type { Cloud, CloudConnection, CloudListener, Destination, DropReason } from "./cloud.ts";
import { parseEndpoint, shownEndpoint } from "./endpoints.ts";
import { readCredentials } from "./file-credentials.ts";
import type { MqttCloudClient } from "./mqtt-client.ts";
import {
  ACCEPTED,
  afterRebuff,
  firstChoice,
  NOTHING_KNOWN,
  type Protocol,
  type Rebuff,
  type Spoken,
} from "./protocol.ts";
import type { GatewayIdentity } from "./rules.ts";
import type { SourceEntry } from "./source.ts";

export interface MqttCloudTools {
  readonly clock: Clock;
  readonly identity: GatewayIdentity;
  /** Whose id goes with every message; read when a connection is opened. */
  readonly journal: { readonly id: string };
}

/**
 * The cloud behind any standard MQTT broker: version 5, or 3.1.1 where the broker does not speak 5 (protocol.ts). What
 * an endpoint speaks is remembered for as long as the program runs.
 *
 * One connection carries all lanes. Priority is then decided at one place, for each message as it leaves, instead of by
 * the queues of three sockets; the site costs the cloud one client; the server's Receive Maximum is one budget.
 */
export function mqttCloud(options: UplinkConfig, tools: MqttCloudTools): Cloud {
  const spoken = new Map<string, Spoken>();
  return {
    open(endpoint, listener) {
      const dial = new Dial(endpoint, listener, options, tools, spoken);
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
  readonly #spoken: Map<string, Spoken>;
  #client: MqttCloudClient | null = null;
  #over = false;
  #begun: Promise<void> = Promise.resolve();

  constructor(
    endpoint: string,
    listener: CloudListener,
    options: UplinkConfig,
    tools: MqttCloudTools,
    spoken: Map<string, Spoken>,
  ) {
    this.#endpoint = endpoint;
    this.#listener = listener;
    this.#options = options;
    this.#tools = tools;
    this.#spoken = spoken;
  }

  begin(): void {
    this.#begun = this.#connect(firstChoice(this.#known));
  }

  send(token: number, entry: SourceEntry, to: Destination): number | DropReason {
    return this.#opened.send(token, entry, to);
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

  async #connect(protocol: Protocol): Promise<void> {
    try {
      const address = parseEndpoint(this.#endpoint);
      if (address === null) throw notAnEndpoint(this.#endpoint);
      const credentials = await readCredentials(this.#options);
      // The package is large: a gateway accepts its sensors before it loads the way to the cloud.
      const { MqttCloudClient } = await import("./mqtt-client.ts");
      if (this.#over) return;
      this.#client = new MqttCloudClient(
        { address, protocol, credentials, options: this.#options, ...this.#tools },
        {
          ...this.#whileOpen,
          closed: (error, rebuff) => this.#ended(protocol, error, rebuff),
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
      opened: (terms) => {
        if (this.#over) return;
        if (terms.protocol === "5") this.#spoken.set(this.#endpoint, ACCEPTED);
        listener.opened(terms);
      },
      acknowledged: (token) => this.#over || listener.acknowledged(token),
      refused: (token, reason) => this.#over || listener.refused(token, reason),
    };
  }

  #ended(protocol: Protocol, error: FieldgateError, rebuff: Rebuff): void {
    if (this.#over) return;
    if (protocol === "5") {
      const [spoken, fallBack] = afterRebuff(this.#known, rebuff);
      this.#spoken.set(this.#endpoint, spoken);
      if (fallBack) {
        this.#begun = this.#connect("3.1.1");
        return;
      }
    }
    this.#end(error);
  }

  get #known(): Spoken {
    return this.#spoken.get(this.#endpoint) ?? NOTHING_KNOWN;
  }

  #end(error: FieldgateError): void {
    if (this.#over) return;
    this.#over = true;
    this.#listener.closed(error);
  }
}

function notAnEndpoint(endpoint: string): FieldgateError {
  return new FieldgateError("ERR_CONFIG_INVALID", "not an address of a broker", {
    details: {
      endpoint: shownEndpoint(endpoint),
      expected: "mqtt://host:port or mqtts://host:port",
    },
  });
}
