import type { Clock } from "../../src/base/clock.ts";
import { silentLog } from "../../src/base/log.ts";
import type { Random } from "../../src/base/random.ts";
import { systemClock } from "../../src/base/system-clock.ts";
import type { DeviceTools } from "../../src/devices/device.ts";
import type { Message } from "../../src/mqtt/message.ts";

/** The gateway that devices and their commands are tested on: silent, and refusing what `admit` rejects. */
export function deviceTools(
  admit: (message: Message) => unknown = () => {},
  clock: Clock = systemClock,
  random: Random = Math.random,
) {
  return {
    clock,
    random,
    log: silentLog,
    identity: { gateway: "gw-a", site: "plant-7" },
    sink: {
      async admit(message: Message) {
        await admit(message);
      },
    },
  } satisfies DeviceTools;
}
