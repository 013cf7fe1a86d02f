import type { Clock } from "../base/clock.ts";
import type { UplinkConfig } from "../config/schema.ts";
import type { Cloud, CloudConnection, CloudListener } from "./cloud.ts";
import { Dial } from "./dial.ts";
import type { MqttCloudClient } from "./mqtt-client.ts";
import type { Spoken } from "./protocol.ts";
import type { GatewayIdentity } from "./rules.ts";

export interface MqttCloudTools {
  readonly clock: Clock;
  readonly identity: GatewayIdentity;
  /** Whose id goes with every message; read when a connection is opened. */
  readonly journal: { readonly id: string };
  /** Goes with every message too; read with the first message of a connection. */
  readonly epoch?: () => number | null;
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
      const dial: Dial<MqttCloudClient> = new Dial(endpoint, {
        options,
        spoken,
        async make(setup, closed) {
          // The package is large: a gateway accepts its sensors before it loads the way to the cloud.
          const { MqttCloudClient } = await import("./mqtt-client.ts");
          return new MqttCloudClient(
            { ...setup, ...tools },
            { ...whileOpen(dial, listener), closed },
          );
        },
        ended: (error) => listener.closed(error),
      });
      dial.begin();
      return connectionOver(dial);
    },
  };
}

function connectionOver(dial: Dial<MqttCloudClient>): CloudConnection {
  return {
    send: (token, entry, to) => dial.client.send(token, entry, to),
    flush: () => dial.client.flush(),
    prompt: () => dial.client.prompt(),
    close: (how) => dial.close(how),
  };
}

function whileOpen(
  dial: Dial<MqttCloudClient>,
  listener: CloudListener,
): Omit<CloudListener, "closed"> {
  return {
    opened: (terms) => {
      if (dial.over) return;
      if (terms.protocol === "5") dial.accepted();
      listener.opened(terms);
    },
    acknowledged: (token) => dial.over || listener.acknowledged(token),
    refused: (token, reason) => dial.over || listener.refused(token, reason),
    unexpected: () => listener.unexpected(),
  };
}
