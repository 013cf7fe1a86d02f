/** Topic names and topic filters: MQTT 3.1.1, section 4.7. A reason is a phrase for logs and refusals. */

const TOPIC_BYTES_MAX = 65_535;

/** Why `topic` may not be published to, or null when it may [MQTT-3.3.2-2, MQTT-4.7.3-1, MQTT-4.7.3-2]. */
export function topicNameError(topic: string): string | null {
  const common = stringError(topic);
  if (common !== null) return common;
  if (topic.includes("+") || topic.includes("#")) return "a topic name has no wildcards";
  return null;
}

/** Why `filter` may not be subscribed to, or null when it may [MQTT-4.7.1-2, MQTT-4.7.1-3]. */
export function topicFilterError(filter: string): string | null {
  const common = stringError(filter);
  if (common !== null) return common;
  const levels = filter.split("/");
  for (const [index, level] of levels.entries()) {
    if (level.includes("#") && level !== "#") return "# stands alone in its level";
    if (level === "#" && index !== levels.length - 1) return "# stands only at the end";
    if (level.includes("+") && level !== "+") return "+ stands alone in its level";
  }
  return null;
}

/** Whether a valid filter matches a valid topic name; `$`-topics match no leading wildcard [MQTT-4.7.2-1]. */
export function topicMatches(filter: string, topic: string): boolean {
  if (topic.startsWith("$") && (filter.startsWith("+") || filter.startsWith("#"))) return false;
  const wanted = filter.split("/");
  const levels = topic.split("/");
  for (const [index, level] of wanted.entries()) {
    if (level === "#") return true;
    if (index >= levels.length) return false;
    if (level !== "+" && level !== levels[index]) return false;
  }
  return wanted.length === levels.length;
}

/** How many levels a topic or filter has: one more than it has separators. */
export function topicLevels(topic: string): number {
  let levels = 1;
  for (let at = topic.indexOf("/"); at !== -1; at = topic.indexOf("/", at + 1)) levels++;
  return levels;
}

function stringError(text: string): string | null {
  if (text.length === 0) return "is empty";
  if (text.includes("\0")) return "contains U+0000";
  if (!text.isWellFormed()) return "is not well-formed UTF-8";
  if (text.length * 3 > TOPIC_BYTES_MAX && utf8Length(text) > TOPIC_BYTES_MAX) {
    return `is longer than ${TOPIC_BYTES_MAX} bytes`;
  }
  return null;
}

function utf8Length(text: string): number {
  return new TextEncoder().encode(text).length;
}
