import type { DownSubscriptionConfig } from "../config/schema.ts";
import { topicMatches } from "../mqtt/topic.ts";
import type { CloudSubscription } from "./command-cloud.ts";
import type { GatewayIdentity } from "./rules.ts";

/** What we are subscribed to at the cloud, and where it goes here. */
export interface Subscriptions {
  readonly all: readonly CloudSubscription[];
  /** What a topic of the cloud is filled into templates with; null when no filter matches. */
  place(topic: string): Place | null;
  /** A message to this topic would come back to us. */
  wouldReturn(topic: string): boolean;
}

export interface Place {
  readonly localTopic: string;
  /** A template with {topic}, {rest}, {gateway} and {site} filled in; null when there is none. */
  fillIfGiven(template: string | undefined): string | null;
}

export function compileSubscriptions(
  subscriptions: readonly DownSubscriptionConfig[],
  identity: GatewayIdentity,
): Subscriptions {
  const compiled = subscriptions.map(({ filter, qos, localTopic }) => ({
    filter: filter.replaceAll("{gateway}", identity.gateway).replaceAll("{site}", identity.site),
    qos,
    localTopic,
  }));
  return {
    all: compiled,
    place(topic) {
      const found = compiled.find(({ filter }) => topicMatches(filter, topic));
      if (found === undefined) return null;
      const values = { ...identity, topic, rest: restOf(found.filter, topic) };
      return {
        localTopic: fillIn(found.localTopic, values),
        fillIfGiven: (template) => (template === undefined ? null : fillIn(template, values)),
      };
    },
    wouldReturn: (topic) => compiled.some(({ filter }) => topicMatches(filter, topic)),
  };
}

/** Fills in a template in one pass: braces inside a topic stay as they are. */
function fillIn(template: string, values: Values): string {
  return template.replace(/\{(topic|rest|gateway|site)\}/g, (_, key: keyof Values) => values[key]);
}

interface Values extends GatewayIdentity {
  readonly topic: string;
  readonly rest: string;
}

/** The levels of the topic from the filter's first wildcard on. */
function restOf(filter: string, topic: string): string {
  const first = filter.split("/").findIndex((level) => level === "+" || level === "#");
  return first === -1 ? "" : topic.split("/").slice(first).join("/");
}
