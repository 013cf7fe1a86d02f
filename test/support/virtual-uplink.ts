import { silentLog } from "../../src/base/log.ts";
import type { UplinkConfig } from "../../src/config/schema.ts";
import type { UplinkLimits } from "../../src/uplink/limits.ts";
import type { Permit } from "../../src/uplink/permit.ts";
import { compileRules } from "../../src/uplink/rules.ts";
import { uplink } from "../../src/uplink/uplink.ts";
import { type Faults, NO_FAULTS, SimCloud, TurnClock } from "../sim/uplink-cloud.ts";
import { MemorySource, type SourceWeather } from "./memory-source.ts";
import { seededRandom } from "./random.ts";
import { uplinkOptions } from "./uplink-options.ts";

/** An uplink in virtual time with a journal in memory. */
export function rig(
  changes: Partial<UplinkConfig>,
  weather: SourceWeather = {},
  limits: Partial<UplinkLimits> = {},
  faults: Faults = NO_FAULTS,
  journal = new MemorySource(weather),
  permit?: Permit,
) {
  const clock = new TurnClock();
  const random = seededRandom(1);
  const cloud = new SimCloud(clock, random, faults);
  const options = uplinkOptions({ endpoints: ["mqtt://a", "mqtt://b"], ...changes });
  const identity = { gateway: "g", site: "s" };
  const route = compileRules(options.rules, identity);
  const tools = { clock, log: silentLog, random, journal, cloud, route, identity, limits };
  const permitted = permit === undefined ? tools : { ...tools, permit };
  return { service: uplink(options, permitted), journal, cloud, clock };
}

/** The same, started. */
export async function begin(
  changes: Partial<UplinkConfig> = {},
  weather: SourceWeather = {},
  limits: Partial<UplinkLimits> = {},
  faults: Faults = NO_FAULTS,
) {
  const made = rig(changes, weather, limits, faults);
  await made.service.start(new AbortController().signal);
  return made;
}
