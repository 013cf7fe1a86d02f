import type { Clock } from "../base/clock.ts";
import type { DownConfig, UplinkConfig } from "../config/schema.ts";
import type { CommandCloud, CommandListener } from "./command-cloud.ts";
import { Dial } from "./dial.ts";
import type { MqttCommandClient } from "./mqtt-commands.ts";
import type { Spoken } from "./protocol.ts";
import type { GatewayIdentity } from "./rules.ts";

/**
 * The cloud's MQTT broker as commands come from it: a connection of its own, because it has a session that the cloud keeps.
 * On the uplink's connection, which has none, that session would also remember identifiers of QoS 2 messages that we have
 * forgotten in a crash, and the cloud would take new messages for old ones [MQTT-4.3.3-2].
 */
export function mqttCommandCloud(
  options: UplinkConfig,
  down: DownConfig,
  tools: { readonly clock: Clock; readonly identity: GatewayIdentity },
): CommandCloud {
  const spoken = new Map<string, Spoken>();
  const { identity, clock } = tools;
  const clientId =
    down.clientId ?? `${options.clientId ?? `${identity.site}-${identity.gateway}`}-down`;
  return {
    open(endpoint, listener) {
      const dial: Dial<MqttCommandClient> = new Dial(endpoint, {
        options,
        spoken,
        async make(setup, closed) {
          const { MqttCommandClient } = await import("./mqtt-commands.ts");
          const own = { ...setup, down, clientId, clock };
          return new MqttCommandClient(own, { ...whileOpen(dial, listener), closed });
        },
        ended: (error) => listener.closed(error),
      });
      dial.begin();
      return {
        subscribe: (subscriptions) => dial.client.subscribe(subscriptions),
        unsubscribe: (filters) => dial.client.unsubscribe(filters),
        acknowledge: (...what) => dial.client.acknowledge(...what),
        answer: (...what) => dial.client.answer(...what),
        flush: () => dial.client.flush(),
        hold: (isHeld) => dial.client.hold(isHeld),
        close: (how) => dial.close(how),
      };
    },
  };
}

function whileOpen(
  dial: Dial<MqttCommandClient>,
  listener: CommandListener,
): Omit<CommandListener, "closed"> {
  return {
    opened: (terms) => {
      if (dial.over) return;
      if (terms.protocol === "5") dial.accepted();
      listener.opened(terms);
    },
    arrived: (arrival) => dial.over || listener.arrived(arrival),
    released: (packetId) => dial.over || listener.released(packetId),
    answered: (reasonCode) => dial.over || listener.answered(reasonCode),
  };
}
