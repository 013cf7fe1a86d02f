import { readdir } from "node:fs/promises";
import type { Clock } from "../base/clock.ts";
import type { Check, Finding } from "./finding.ts";

/** No gateway was built before: an earlier wall clock was never set. 2026-01-01. */
const PLAUSIBLE_FROM_MS = 1_767_225_600_000;

export interface ClockSources {
  /** Null where the machine does not tell. */
  readonly synchronised: () => Promise<boolean | null>;
  /** Where the kernel lists its real-time clocks. */
  readonly rtcDirectory: string;
}

/** Whether the time of day can be believed, and whether it will be after the next power cut. */
export function clockChecks(clock: Clock, sources: ClockSources): readonly Check[] {
  return [
    { id: "clock.plausible", run: async () => [plausible(clock.wallMs())] },
    { id: "clock.synchronised", run: async () => [synchronised(await sources.synchronised())] },
    { id: "clock.rtc", run: async () => [await realTimeClock(sources)] },
  ];
}

function plausible(wallMs: number): Finding {
  const id = "clock.plausible";
  const shown = new Intl.DateTimeFormat("sv-SE", {
    dateStyle: "short",
    timeStyle: "medium",
    timeZone: "UTC",
  }).format(wallMs);
  if (wallMs >= PLAUSIBLE_FROM_MS) return { id, verdict: "fine", what: `it is ${shown} UTC` };
  return {
    id,
    verdict: "critical",
    what: `the clock says ${shown} UTC: it was never set`,
    why: "stamps of messages are wrong, and certificates look as if they were not valid yet",
    todo: "connect the network so that NTP can set it, or: timedatectl set-time 'YYYY-MM-DD hh:mm'",
  };
}

function synchronised(answer: boolean | null): Finding {
  const id = "clock.synchronised";
  if (answer === true) return { id, verdict: "fine", what: "synchronised by NTP" };
  if (answer === false) {
    return {
      id,
      verdict: "warning",
      what: "not synchronised",
      why: "the clock runs free, by seconds a day; stamps of messages drift with it",
      todo: "timedatectl timesync-status; is UDP port 123 open to an NTP server?",
    };
  }
  const why = "neither timedatectl nor chronyc answers on this machine";
  return { id, verdict: "unknown", what: "whether it is synchronised cannot be told", why };
}

async function realTimeClock({ rtcDirectory, synchronised }: ClockSources): Promise<Finding> {
  const id = "clock.rtc";
  const clocks = await readdir(rtcDirectory).catch(() => []);
  if (clocks.length > 0)
    return { id, verdict: "fine", what: `real-time clock ${clocks.join(", ")}` };
  // As a Raspberry Pi is sold: no reason for an alarm as long as the network brings the time.
  const isSet = await synchronised();
  if (isSet === true) {
    return { id, verdict: "fine", what: "no battery-backed clock; NTP sets the time" };
  }
  if (isSet === null) {
    const why = "this machine, or this container, does not tell who sets its time";
    return { id, verdict: "unknown", what: "no battery-backed clock is seen here", why };
  }
  return {
    id,
    verdict: "warning",
    what: "no battery-backed clock, and nobody else sets the time",
    why: "after a power cut the time is that of the last shutdown until NTP answers",
    todo: "messages are kept and sent all the same; for right stamps without a network add an RTC module",
  };
}
