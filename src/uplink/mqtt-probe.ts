import { connect, type MqttClient } from "mqtt";
import type { Clock } from "../base/clock.ts";
import { FieldgateError } from "../base/errors.ts";
import type { UplinkConfig } from "../config/schema.ts";
import { parseEndpoint, shownEndpoint } from "./endpoints.ts";
import { readCredentials } from "./file-credentials.ts";

/** One step of a probe, and why it failed. */
export interface ProbeStep {
  readonly step: "authentication" | "publish" | "acknowledgement";
  readonly ms: number;
  readonly error?: string;
}

const TIMEOUT_MS = 5000;

/**
 * Connects to an endpoint as another client than the gateway, without a session, sends one message at QoS 1 that no rule
 * makes, and leaves. The gateway's own id would throw the gateway out, or empty its session at the cloud. MQTT 3.1.1, which
 * every broker speaks.
 * @param topic of the message; it goes to whoever has subscribed to it
 * @throws FieldgateError ERR_CONFIG_INVALID for an endpoint that is none, ERR_CONFIG_UNREADABLE for a file
 */
export async function probeEndpoint(
  endpoint: string,
  options: UplinkConfig,
  tools: { readonly clock: Clock; readonly clientId: string; readonly topic: string },
): Promise<readonly ProbeStep[]> {
  const { clock, clientId, topic } = tools;
  const address = parseEndpoint(endpoint);
  if (address === null) {
    const details = { endpoint: shownEndpoint(endpoint) };
    throw new FieldgateError("ERR_CONFIG_INVALID", "not an address of a broker", { details });
  }
  const { password, ca, cert, key } = await readCredentials(options);
  const username = options.username ?? address.username;
  const secret = password ?? address.password;
  const client = connect({
    host: address.host,
    port: address.port,
    protocol: address.tls ? "mqtts" : "mqtt",
    protocolVersion: 4,
    clientId,
    clean: true,
    reconnectPeriod: 0,
    connectTimeout: TIMEOUT_MS,
    ...(username === null ? {} : { username }),
    ...(secret === null ? {} : { password: secret }),
    ...(ca === null ? {} : { ca }),
    ...(cert === null ? {} : { cert }),
    ...(key === null ? {} : { key }),
  });
  const steps: ProbeStep[] = [];
  const gone = closed(client);
  gone.catch(() => {});
  const timed = async (step: ProbeStep["step"], work: Promise<unknown>): Promise<boolean> => {
    const began = clock.monotonicMs();
    const error = await Promise.race([work, gone]).then(
      () => null,
      (failure: Error) => failure.message,
    );
    const ms = clock.monotonicMs() - began;
    steps.push(error === null ? { step, ms } : { step, ms, error });
    return error === null;
  };
  try {
    if (!(await timed("authentication", connected(client)))) return steps;
    const left = written(client);
    const acknowledged = client.publishAsync(topic, "", { qos: 1 });
    acknowledged.catch(() => {}); // said below, unless it was never sent
    const over = new AbortController();
    const late = clock.sleep(TIMEOUT_MS, over.signal).then(() => {
      throw new Error(`no acknowledgement within ${TIMEOUT_MS} ms`);
    });
    late.catch(() => {});
    if (await timed("publish", Promise.race([left, late]))) {
      await timed("acknowledgement", Promise.race([acknowledged, late]));
    }
    over.abort(new Error("ended"));
  } finally {
    client.end(true);
  }
  return steps;
}

function connected(client: MqttClient): Promise<void> {
  return new Promise((resolve, reject) => {
    client.once("connect", () => resolve());
    client.on("error", reject);
  });
}

function closed(client: MqttClient): Promise<never> {
  return new Promise((_, reject) => {
    client.on("error", reject);
    client.once("close", () => reject(new Error("the cloud closes the connection")));
  });
}

/** Resolves when a PUBLISH has left. */
function written(client: MqttClient): Promise<void> {
  return new Promise((resolve) => {
    client.on("packetsend", ({ cmd }) => {
      if (cmd === "publish") resolve();
    });
  });
}
