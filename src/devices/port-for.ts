import type { Clock } from "../base/clock.ts";
import type { DeviceConfig } from "../config/schema.ts";
import { netPort } from "./net-port.ts";
import type { Port } from "./port.ts";
import { serialPort } from "./serial-port.ts";

/** The port that a configuration names. ERR_CONFIG_INVALID for an address that is none. */
export function portFor(config: DeviceConfig, clock: Clock): Port {
  return config.port.startsWith("tcp:") ? netPort(config.port) : serialPort(config, clock);
}
