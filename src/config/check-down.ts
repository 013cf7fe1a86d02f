import { topicFilterError, topicMatches } from "../mqtt/topic.ts";
import { checkTwice, conflict } from "./check-twice.ts";
import type { Finding } from "./mistake.ts";
import { checkTemplate } from "./placeholders.ts";
import type { Config, DownConfig } from "./schema.ts";

/** Subscriptions and answers of what comes down from the cloud. */
export function* checkDown({ gateway, uplink }: Config): Generator<Finding> {
  const down = uplink?.down;
  if (!uplink || !down) return;
  const names = { gateway: gateway.id, site: gateway.site };
  for (const [index, { filter, localTopic }] of down.subscriptions.entries()) {
    const path = `${PATH}.subscriptions[${index}]`;
    const filled = fillIn(filter, names);
    const mistake = topicFilterError(filled) ?? unknownIn(filled);
    if (mistake !== null) yield { path: `${path}.filter`, code: "topic", message: mistake };
    yield* checkTemplate(localTopic, ["topic", "rest", "gateway", "site"], `${path}.localTopic`);
    if (localTopic.startsWith("$")) {
      const message = "begins with $: those topics are the broker's own";
      yield { path: `${path}.localTopic`, code: "topic", message };
    }
    if (localTopic.includes("{rest}") && !/[+#]/.test(filled)) {
      const message = "has {rest}, but its filter has no wildcard";
      yield conflict(`${path}.localTopic`, message, [`${path}.filter`]);
    }
  }
  yield* checkTwice(
    down.subscriptions,
    ({ filter }) => fillIn(filter, names),
    (index) => `${PATH}.subscriptions[${index}].filter`,
    (first) => `is the same as ${first}`,
  );
  yield* checkClientId(uplink.clientId, down);
  yield* checkReplies(down, names);
}

function* checkClientId(clientId: string | undefined, down: DownConfig): Generator<Finding> {
  if (clientId === undefined || clientId !== down.clientId) return;
  const message = "is the same as uplink.clientId: the two connections would throw each other out";
  yield conflict(`${PATH}.clientId`, message, ["uplink.clientId"]);
}

function* checkReplies(
  { replyTopic, subscriptions }: DownConfig,
  names: Names,
): Generator<Finding> {
  if (replyTopic === undefined) return;
  const path = `${PATH}.replyTopic`;
  yield* checkTemplate(replyTopic, ["topic", "rest", "gateway", "site"], path);
  if (/\{(topic|rest)\}/.test(replyTopic)) return; // depends on the command: checked for each
  const topic = fillIn(replyTopic, names);
  for (const [index, { filter }] of subscriptions.entries()) {
    if (!topicMatches(fillIn(filter, names), topic)) continue;
    const rival = `${PATH}.subscriptions[${index}].filter`;
    yield conflict(path, `is matched by ${rival}: answers would come back as commands`, [rival]);
  }
}

const PATH = "uplink.down";

interface Names {
  readonly gateway: string;
  readonly site: string;
}

function fillIn(template: string, { gateway, site }: Names): string {
  return template.replaceAll("{gateway}", gateway).replaceAll("{site}", site);
}

function unknownIn(filled: string): string | null {
  const unknown = /\{[^}]*\}/.exec(filled);
  if (unknown !== null)
    return `has ${unknown[0]}, but only {gateway} and {site} are filled in here`;
  return filled.startsWith("$share/") ? "is a shared subscription" : null;
}
