import { FieldgateError } from "../base/errors.ts";
import type { UplinkConfig } from "../config/schema.ts";
import { parseEndpoint, shownEndpoint } from "./endpoints.ts";
import { readCredentials } from "./file-credentials.ts";
import type { ConnectSetup } from "./mqtt-options.ts";
import {
  ACCEPTED,
  afterRebuff,
  firstChoice,
  NOTHING_KNOWN,
  type Protocol,
  type Rebuff,
  type Spoken,
} from "./protocol.ts";

/** One MQTT connection with one version of the protocol. */
export interface Dialled {
  connect(): void;
  /** Resolves when the socket is gone. */
  close(how: "politely" | "at once"): Promise<void>;
}

export interface DialTools<C extends Dialled> {
  readonly options: UplinkConfig;
  /** What endpoints are known to speak; shared by all dials to them. */
  readonly spoken: Map<string, Spoken>;
  /** `closed` is called when the connection ended or could not be made, at most once. */
  make(setup: ConnectSetup, closed: (error: FieldgateError, rebuff: Rebuff) => void): Promise<C>;
  /** There is no connection and this dial will make none. Called once, unless it was closed before. */
  ended(error: FieldgateError): void;
}

/** One opening of a connection: one attempt with version 5, and when that is not understood, one with 3.1.1. */
export class Dial<C extends Dialled> {
  readonly #endpoint: string;
  readonly #tools: DialTools<C>;
  #client: C | null = null;
  #over = false;
  #begun: Promise<void> = Promise.resolve();

  constructor(endpoint: string, tools: DialTools<C>) {
    this.#endpoint = endpoint;
    this.#tools = tools;
  }

  begin(): void {
    this.#begun = this.#connect(firstChoice(this.#known));
  }

  /** The connection ended, or was given up: nothing that it says counts any more. */
  get over(): boolean {
    return this.#over;
  }

  /** The connection that was accepted. */
  get client(): C {
    if (this.#client === null) throw new Error("assertion failed: used before it was opened");
    return this.#client;
  }

  /** The endpoint has accepted version 5. */
  accepted(): void {
    this.#tools.spoken.set(this.#endpoint, ACCEPTED);
  }

  async close(how: "politely" | "at once"): Promise<void> {
    this.#over = true;
    await this.#begun;
    await this.#client?.close(how);
  }

  async #connect(protocol: Protocol): Promise<void> {
    try {
      const { options } = this.#tools;
      const address = parseEndpoint(this.#endpoint);
      if (address === null) throw notAnEndpoint(this.#endpoint);
      const credentials = await readCredentials(options);
      const setup = { address, protocol, credentials, options };
      const client = await this.#tools.make(setup, (error, rebuff) =>
        this.#ended(protocol, error, rebuff),
      );
      if (this.#over) return;
      this.#client = client;
      client.connect();
    } catch (error) {
      this.#end(expected(error));
    }
  }

  #ended(protocol: Protocol, error: FieldgateError, rebuff: Rebuff): void {
    if (this.#over) return;
    if (protocol === "5") {
      const [spoken, fallBack] = afterRebuff(this.#known, rebuff);
      this.#tools.spoken.set(this.#endpoint, spoken);
      if (fallBack) {
        this.#begun = this.#connect("3.1.1");
        return;
      }
    }
    this.#end(error);
  }

  get #known(): Spoken {
    return this.#tools.spoken.get(this.#endpoint) ?? NOTHING_KNOWN;
  }

  #end(error: FieldgateError): void {
    if (this.#over) return;
    this.#over = true;
    this.#tools.ended(error);
  }
}

/** What cannot be made a TLS context of, OpenSSL throws: half of a renewed pair, or what is no PEM. It may be whole soon. */
function expected(error: unknown): FieldgateError {
  if (error instanceof FieldgateError) return error;
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  if (!code.startsWith("ERR_OSSL")) throw error;
  const message = "the certificate or key cannot be used";
  return new FieldgateError("ERR_CONFIG_UNREADABLE", message, { cause: error });
}

function notAnEndpoint(endpoint: string): FieldgateError {
  return new FieldgateError("ERR_CONFIG_INVALID", "not an address of a broker", {
    details: {
      endpoint: shownEndpoint(endpoint),
      expected: "mqtt://host:port or mqtts://host:port",
    },
  });
}
