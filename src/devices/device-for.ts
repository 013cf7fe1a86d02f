import type { DeviceConfig } from "../config/schema.ts";
import type { Device, DeviceTools } from "./device.ts";
import { ListeningDevice } from "./listening-device.ts";
import { PollingDevice } from "./modbus/polling-device.ts";

/**
 * A device that speaks by itself, or one that is asked (Modbus). ERR_CONFIG_INVALID when the configuration does not hold
 * together. `start` does not wait for the port: a sensor that is unplugged keeps no gateway from starting.
 */
export function deviceFor(config: DeviceConfig, tools: DeviceTools): Device {
  const { modbus } = config;
  return modbus === undefined
    ? new ListeningDevice(config, tools)
    : new PollingDevice({ ...config, modbus }, tools);
}
