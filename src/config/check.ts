import { checkAccess } from "./check-access.ts";
import { checkDevices } from "./check-devices.ts";
import { checkDown } from "./check-down.ts";
import { checkListeners } from "./check-listeners.ts";
import { checkSite } from "./check-site.ts";
import { checkUplink } from "./check-uplink.ts";
import type { Finding } from "./mistake.ts";
import type { Config } from "./schema.ts";

/**
 * What is wrong with a configuration whose values are right one by one: names used twice, keys that do not belong
 * together, topics and filters. Pure; wants the defaults filled in.
 */
export function check(config: Config): Finding[] {
  return [
    ...checkSite(config),
    ...checkListeners(config),
    ...checkAccess(config),
    ...checkDevices(config),
    ...checkUplink(config),
    ...checkDown(config),
  ];
}
