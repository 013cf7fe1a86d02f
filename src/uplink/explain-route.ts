import type { UplinkConfig } from "../config/schema.ts";
import { topicMatches } from "../mqtt/topic.ts";
import { isOwnTopic } from "./own-topics.ts";
import { compileRules, type GatewayIdentity, type LaneName } from "./rules.ts";

/** What happens to the messages of a topic, and why. */
export interface RouteExplained {
  readonly topic: string;
  readonly leaves: boolean;
  /** In words: why it leaves, or why it stays. */
  readonly why: string;
  /** Where to; null when it stays. */
  readonly to: {
    readonly rule: number;
    readonly lane: LaneName;
    readonly remoteTopic: string;
    readonly qos: 1 | 2;
    readonly expirySeconds: number | null;
  } | null;
  /** Every rule up to the one that decides: whether it matches, and why not. */
  readonly rules: readonly RuleExplained[];
}

export interface RuleExplained {
  readonly match: string;
  /** Null for the one that decides. */
  readonly whyNot: string | null;
}

/** Asks the rules in their order, as the uplink does. The topic must be one that can be published to. */
export function explainRoute(
  topic: string,
  uplink: Pick<UplinkConfig, "rules" | "gapTopic"> | undefined,
  identity: GatewayIdentity,
): RouteExplained {
  if (uplink === undefined) return stays(topic, "no uplink is configured", []);
  if (isOwnTopic(topic)) {
    const why =
      "it is the gateway's own: what it tells the cloud leaves, to gapTopic or deadLetterTopic";
    return stays(topic, why, []);
  }
  const decides = uplink.rules.findIndex((rule) => topicMatches(rule.match, topic));
  const asked = decides === -1 ? uplink.rules : uplink.rules.slice(0, decides + 1);
  const rules = asked.map(({ match }, index) => {
    return { match, whyNot: index === decides ? null : whyNot(match, topic) };
  });
  const rule = uplink.rules[decides];
  const route = compileRules(uplink.rules, identity)(topic);
  if (rule === undefined || route === null) {
    return stays(topic, uplink.rules.length === 0 ? "there is no rule" : "no rule matches", rules);
  }
  if (route.fault !== null) {
    const why = `rule ${decides} matches, but the message is given up as topic-invalid: the remote topic ${route.fault}`;
    return stays(topic, why, rules);
  }
  const { lane } = rule;
  const { remoteTopic, qos, expirySeconds } = route;
  const to = { rule: decides, lane, remoteTopic, qos, expirySeconds };
  return { topic, leaves: true, why: `rule ${decides} is the first that matches`, to, rules };
}

function stays(topic: string, why: string, rules: readonly RuleExplained[]): RouteExplained {
  return { topic, leaves: false, why, to: null, rules };
}

/** The first level at which filter and topic part. */
function whyNot(filter: string, topic: string): string {
  const wanted = filter.split("/");
  const levels = topic.split("/");
  if (topic.startsWith("$") && ["+", "#"].includes(wanted[0] as string)) {
    return "a wildcard at the beginning does not match a topic that begins with $ [MQTT-4.7.2-1]";
  }
  for (const [index, level] of wanted.entries()) {
    const has = levels[index];
    if (has === undefined) return `the topic has no level ${index + 1}, the filter wants ${level}`;
    if (level !== "+" && level !== has) return `level ${index + 1} is ${has}, not ${level}`;
  }
  return `the filter ends after level ${wanted.length}, the topic goes on with ${levels[wanted.length]}`;
}
