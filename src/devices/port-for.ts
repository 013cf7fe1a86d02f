import type { Clock } from "../base/clock.ts";
import type { DeviceConfig } from "../config/schema.ts";
import { pathsLike, type SerialPlaces, SYSTEM_SERIAL_PLACES } from "./file-adapters.ts";
import { framerFor } from "./framing.ts";
import { netPort } from "./net-port.ts";
import type { Port } from "./port.ts";
import { probingPort, type Recogniser } from "./probing-port.ts";
import { serialPort } from "./serial-port.ts";

/** The port that a configuration names. ERR_CONFIG_INVALID for an address that is none. */
export function portFor(
  config: DeviceConfig,
  clock: Clock,
  places: SerialPlaces = SYSTEM_SERIAL_PLACES,
): Port {
  const { port: address, probe } = config;
  if (address.startsWith("tcp:")) return netPort(address);
  if (probe === undefined) return serialPort(config, clock, places);
  const { listenMs } = probe;
  return probingPort(
    {
      address,
      listenMs,
      paths: () => pathsLike(address),
      portAt: (path) => serialPort({ ...config, port: path }, clock, places),
      recogniser: () => recogniserFor(config, probe),
    },
    clock,
  );
}

/** Recognises a device by a frame, with a right check value, that contains what the configuration says. */
function recogniserFor(
  { framing }: DeviceConfig,
  { contains, containsHex }: NonNullable<DeviceConfig["probe"]>,
): Recogniser {
  const sought = Buffer.from(
    contains ?? containsHex ?? "",
    contains === undefined ? "hex" : "utf8",
  );
  let isFound = false;
  const framer = framerFor(framing, {
    frame: (bytes) => {
      isFound ||= Buffer.from(bytes).includes(sought);
    },
    refuse: () => {},
  });
  let isFirst = true;
  return {
    push(chunk, nowMs) {
      if (isFirst) framer.reset(nowMs);
      isFirst = false;
      framer.push(chunk, nowMs);
      return isFound;
    },
  };
}
