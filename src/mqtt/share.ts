import { topicFilterError } from "./topic.ts";

/** A shared subscription as a client asks for it: `$share/{group}/{filter}` (MQTT 5, section 4.8.2). */
export interface Share {
  readonly group: string;
  /** What is matched: a topic filter as in any subscription. */
  readonly filter: string;
}

const PREFIX = "$share/";

/** The group and the filter of a shared subscription; null for a filter that asks for none. Both may be invalid. */
export function shareOf(filter: string): Share | null {
  if (!filter.startsWith(PREFIX)) return null;
  const end = filter.indexOf("/", PREFIX.length);
  if (end === -1) return { group: filter.slice(PREFIX.length), filter: "" };
  return { group: filter.slice(PREFIX.length, end), filter: filter.slice(end + 1) };
}

/** Why `filter`, shared or not, may not be subscribed to, or null when it may [MQTT5-4.8.2-1, MQTT5-4.8.2-2]. */
export function subscriptionError(filter: string): string | null {
  const share = shareOf(filter);
  if (share === null) return topicFilterError(filter);
  return groupError(share.group) ?? topicFilterError(share.filter);
}

/** Why `group` is not the name of a group, or null when it is one. */
function groupError(group: string): string | null {
  if (group === "") return "group is empty";
  if (/[+#/]/.test(group)) return "group contains + or # or /";
  return topicFilterError(group) === null ? null : `group ${topicFilterError(group)}`;
}
