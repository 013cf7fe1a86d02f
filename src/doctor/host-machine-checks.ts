import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Check, Finding } from "./finding.ts";

/** Memory that must stay available, as a share. */
const AVAILABLE_SHARE_MIN = 0.1;

export interface MachinePlaces {
  readonly memory: string;
  readonly thermalZones: string;
  /** The firmware's bits of a Raspberry Pi; absent elsewhere. */
  readonly throttled: string;
}

export const SYSTEM_MACHINE_PLACES: MachinePlaces = {
  memory: "/proc/meminfo",
  thermalZones: "/sys/class/thermal",
  throttled: "/sys/devices/platform/soc/soc:firmware/get_throttled",
};

/** From which temperature on there is something to look at, and from which on it is critical. */
export interface HeatLimits {
  readonly warmCelsius: number;
  readonly hotCelsius: number;
}

/** Memory, temperature, and what the firmware of a Raspberry Pi says of its supply. */
export function machineChecks(places: MachinePlaces, limits: HeatLimits): readonly Check[] {
  return [
    { id: "machine.memory", run: async () => [await memoryFinding(places.memory)] },
    {
      id: "machine.temperature",
      run: async () => [await heatFinding(places.thermalZones, limits)],
    },
    {
      id: "machine.supply",
      run: async () => [supplyFinding(await firmwareBits(places.throttled))],
    },
    {
      id: "machine.throttling",
      run: async () => [throttlingFinding(await firmwareBits(places.throttled))],
    },
  ];
}

async function memoryFinding(path: string): Promise<Finding> {
  const id = "machine.memory";
  const text = await readFile(path, "utf8").catch(() => "");
  const kibibytes = (name: string) =>
    Number(new RegExp(`^${name}:\\s+(\\d+)`, "m").exec(text)?.[1]);
  const total = kibibytes("MemTotal");
  const available = kibibytes("MemAvailable");
  if (Number.isNaN(total + available)) {
    return { id, verdict: "unknown", what: "cannot be told", why: `${path} says nothing of it` };
  }
  const what = `${Math.round(available / 1024)} MiB available of ${Math.round(total / 1024)} MiB`;
  if (available / total >= AVAILABLE_SHARE_MIN) return { id, verdict: "fine", what };
  const why = "the kernel kills the largest process when there is none left";
  return { id, verdict: "warning", what, why, todo: "ps aux --sort=-rss | head" };
}

async function heatFinding(
  folder: string,
  { warmCelsius, hotCelsius }: HeatLimits,
): Promise<Finding> {
  const id = "machine.temperature";
  const zones = (await readdir(folder).catch(() => [])).filter((name) =>
    name.startsWith("thermal"),
  );
  const degrees: number[] = [];
  for (const zone of zones) {
    const text = await readFile(join(folder, zone, "temp"), "utf8").catch(() => "");
    const value = Number.parseInt(text, 10) / 1000;
    if (value > 0) degrees.push(value);
  }
  if (degrees.length === 0) {
    return { id, verdict: "unknown", what: "cannot be told", why: "the machine has no sensor" };
  }
  const hottest = Math.max(...degrees);
  const what = `${hottest.toFixed(0)} °C`;
  const why = `health.warmCelsius is ${warmCelsius}, health.hotCelsius ${hotCelsius}; a hot processor is slowed down, then stopped`;
  const todo = "is the cabinet ventilated, does the sun shine on it?";
  if (hottest >= hotCelsius) return { id, verdict: "critical", what, why, todo };
  if (hottest >= warmCelsius) return { id, verdict: "warning", what, why, todo };
  return { id, verdict: "fine", what };
}

/** https://www.raspberrypi.com/documentation/computers/os.html#get_throttled: bits 0 to 3 now, 16 to 19 since the start. */
async function firmwareBits(path: string): Promise<number | null> {
  const text = await readFile(path, "utf8").catch(() => null);
  return text === null ? null : Number.parseInt(text, 16);
}

const FIRMWARE_ONLY = "only the firmware of a Raspberry Pi tells";

function supplyFinding(bits: number | null): Finding {
  const id = "machine.supply";
  if (bits === null) {
    return { id, verdict: "unknown", what: "undervoltage cannot be told", why: FIRMWARE_ONLY };
  }
  const todo = "use the supply of the maker, and a short cable; take USB devices to a powered hub";
  const why = "undervoltage corrupts cards and resets USB adapters";
  if ((bits & 0x1) !== 0) {
    return { id, verdict: "critical", what: "undervoltage now", why, todo };
  }
  if ((bits & 0x10000) !== 0) {
    return { id, verdict: "warning", what: "undervoltage since the start", why, todo };
  }
  return { id, verdict: "fine", what: "enough voltage since the start" };
}

function throttlingFinding(bits: number | null): Finding {
  const id = "machine.throttling";
  if (bits === null) {
    return { id, verdict: "unknown", what: "throttling cannot be told", why: FIRMWARE_ONLY };
  }
  const why = "too hot, or too little current";
  const todo = "is the cabinet ventilated, is the supply that of the maker?";
  if ((bits & 0xe) !== 0) {
    return { id, verdict: "warning", what: "the processor is slowed down now", why, todo };
  }
  if ((bits & 0xe0000) !== 0) {
    const what = "the processor was slowed down since the start";
    return { id, verdict: "warning", what, why, todo };
  }
  return { id, verdict: "fine", what: "the processor was never slowed down since the start" };
}
