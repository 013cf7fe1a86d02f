import { FieldgateError } from "../base/errors.ts";
import type { UplinkRuleConfig } from "../config/schema.ts";
import { topicFilterError, topicMatches, topicNameError } from "../mqtt/topic.ts";

/** The lanes of the uplink as the journal numbers them, in order of priority. Lane 0 stays here. */
export const LANES = { alarm: 1, telemetry: 2, bulk: 3 } as const;
export type LaneName = keyof typeof LANES;
export type Lane = (typeof LANES)[LaneName];

/** The journal's cursor of a lane. While it exists, the journal keeps what it has not passed. */
export function cursorName(lane: LaneName): string {
  return `uplink/${lane}`;
}

/** Where a message leaves for. Made once for a topic and shared by its messages. */
export interface Route {
  readonly lane: Lane;
  readonly remoteTopic: string;
  readonly qos: 1 | 2;
  /** After which age it is given up; null: never by the rule. */
  readonly expirySeconds: number | null;
  /** Why the remote topic may not be published to; null when it may. */
  readonly fault: string | null;
}

/** The route of a message, or null when it does not leave. */
export type Router = (topic: string) => Route | null;

export interface GatewayIdentity {
  readonly gateway: string;
  readonly site: string;
}

/** Topics whose route is remembered. A site has hundreds; one that makes up topics costs time, not memory. */
const CACHED_TOPICS_MAX = 4096;

/**
 * Compiles the rules of the uplink: the first one whose filter matches decides.
 * @throws FieldgateError ERR_CONFIG_INVALID naming every rule that cannot be used, and why.
 */
export function compileRules(
  rules: readonly UplinkRuleConfig[],
  identity: GatewayIdentity,
  cachedTopicsMax = CACHED_TOPICS_MAX,
): Router {
  const mistakes = rules.flatMap((rule, index) => {
    const mistake = ruleError(rule);
    return mistake === null ? [] : [`uplink.rules[${index}]: ${mistake}`];
  });
  if (mistakes.length > 0) throw new FieldgateError("ERR_CONFIG_INVALID", mistakes.join("; "));

  const routed = new Map<string, Route | null>();
  return (topic) => {
    const known = routed.get(topic);
    if (known !== undefined) return known;
    const route = firstRoute(rules, identity, topic);
    if (routed.size >= cachedTopicsMax) forgetOldest(routed);
    routed.set(topic, route);
    return route;
  };
}

/** Where goes what the uplink itself tells the cloud (own-topics.ts): it does not ask the rules. */
export function ownRoute(template: string, identity: GatewayIdentity): Omit<Route, "lane"> {
  const remoteTopic = fillIn(template, { ...identity, topic: "" });
  return { remoteTopic, qos: 1, expirySeconds: null, fault: topicNameError(remoteTopic) };
}

function firstRoute(
  rules: readonly UplinkRuleConfig[],
  identity: GatewayIdentity,
  topic: string,
): Route | null {
  const rule = rules.find((candidate) => topicMatches(candidate.match, topic));
  if (rule === undefined) return null;
  const remoteTopic = fillIn(rule.remoteTopic, { ...identity, topic });
  return {
    lane: LANES[rule.lane],
    remoteTopic,
    qos: rule.qos,
    expirySeconds: rule.expirySeconds ?? null,
    fault: topicNameError(remoteTopic),
  };
}

function ruleError(rule: UplinkRuleConfig): string | null {
  const filterError = topicFilterError(rule.match);
  if (filterError !== null) return `the filter ${JSON.stringify(rule.match)} ${filterError}`;
  const sample = fillIn(rule.remoteTopic, { gateway: "g", site: "s", topic: "t" });
  const unknown = /\{[^}]*\}/.exec(sample);
  if (unknown !== null) return `remoteTopic knows {topic}, {gateway} and {site}, not ${unknown[0]}`;
  const nameError = topicNameError(sample);
  return nameError === null
    ? null
    : `remoteTopic ${JSON.stringify(rule.remoteTopic)}: ${nameError}`;
}

/** Fills in a template in one pass: braces inside a topic stay as they are. */
function fillIn(template: string, values: GatewayIdentity & { readonly topic: string }): string {
  return template.replace(
    /\{(topic|gateway|site)\}/g,
    (_, key: keyof typeof values) => values[key],
  );
}

function forgetOldest(routed: Map<string, Route | null>): void {
  for (const topic of routed.keys()) {
    routed.delete(topic);
    return;
  }
}
