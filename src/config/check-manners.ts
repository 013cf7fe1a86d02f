import { conflict } from "./check-twice.ts";
import type { Finding } from "./mistake.ts";
import { checkTemplate } from "./placeholders.ts";
import type { UplinkConfig } from "./schema.ts";

/** What the uplink may send when, and how it tells of losses. */
export function* checkManners(uplink: UplinkConfig): Generator<Finding> {
  const { lanes, timeZone, gapTopic, deadLetterTopic } = uplink;
  const sum = Object.values(lanes).reduce((all, lane) => all + lane.sharePercent, 0);
  if (sum > 100) {
    const paths = Object.keys(lanes).map((name) => `uplink.lanes.${name}.sharePercent`);
    yield conflict(paths[0] as string, `the shares of the lanes are ${sum} % together`, paths);
  }
  for (const [name, { hours = [] }] of Object.entries(lanes)) {
    for (const [index, span] of hours.entries()) {
      const [from, to] = span.split("-");
      const message = "begins and ends at the same time: leave hours out to send always";
      if (from === to) {
        yield { path: `uplink.lanes.${name}.hours[${index}]`, code: "pattern", message };
      }
    }
  }
  if (!isTimeZone(timeZone)) {
    const message = "is no time zone that this machine knows; a name is such as Europe/Berlin";
    yield { path: "uplink.timeZone", code: "pattern", message };
  }
  yield* checkTemplate(gapTopic, ["gateway", "site"], "uplink.gapTopic");
  yield* checkTemplate(deadLetterTopic, ["gateway", "site"], "uplink.deadLetterTopic");
}

function isTimeZone(name: string): boolean {
  try {
    new Intl.DateTimeFormat("en", { timeZone: name });
    return true;
  } catch {
    return false;
  }
}
