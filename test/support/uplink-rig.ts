import type { Log } from "../../src/base/log.ts";
import { silentLog } from "../../src/base/log.ts";
import { systemClock } from "../../src/base/system-clock.ts";
import type { UplinkConfig } from "../../src/config/schema.ts";
import type { SrvLookup } from "../../src/uplink/dns-endpoints.ts";
import type { UplinkLimits } from "../../src/uplink/limits.ts";
import { mqttCloud } from "../../src/uplink/mqtt-cloud.ts";
import { compileRules } from "../../src/uplink/rules.ts";
import type { Source } from "../../src/uplink/source.ts";
import { type Uplink, uplink } from "../../src/uplink/uplink.ts";
import { uplinkOptions } from "./uplink-options.ts";

const RIG_IDENTITY = { gateway: "gw-a", site: "plant-7" };

/** An uplink on the machine's own clock that reads from memory, started. */
export async function startUplink(
  journal: Source,
  changes: Partial<UplinkConfig>,
  more: {
    readonly limits?: Partial<UplinkLimits>;
    readonly log?: Log;
    readonly lookupSrv?: SrvLookup;
    readonly moreEndpoints?: () => readonly string[];
  } = {},
): Promise<Uplink> {
  const options = uplinkOptions(changes);
  const service = uplink(options, {
    clock: systemClock,
    log: silentLog,
    random: Math.random,
    journal,
    cloud: mqttCloud(options, { clock: systemClock, identity: RIG_IDENTITY, journal }),
    route: compileRules(options.rules, RIG_IDENTITY),
    identity: RIG_IDENTITY,
    ...more,
  });
  await service.start(new AbortController().signal);
  return service;
}
