import type { Explained } from "./access/access.ts";
import { FieldgateError } from "./base/errors.ts";
import type { ControlQuestion } from "./control/protocol.ts";
import type { GatewayParts } from "./gateway-status.ts";
import { subscriptionError } from "./mqtt/share.ts";
import { topicNameError } from "./mqtt/topic.ts";
import { explainRoute, type RouteExplained } from "./uplink/explain-route.ts";

/** What `fieldgate access explain` shows. */
export interface AccessExplained extends Explained {
  readonly clientId: string;
  readonly topic: string;
  /** Whether there is a session of that client id; otherwise it is asked for the user of that name. */
  readonly known: boolean;
}

/** Who a client is, what it may do with a topic or filter, and by which rule. @throws FieldgateError ERR_USAGE, ERR_TOPIC */
export function explainAccess(
  { access, broker }: GatewayParts,
  { query }: ControlQuestion,
): AccessExplained {
  const clientId = query.get("client") ?? "";
  const topic = query.get("topic") ?? "";
  if (clientId === "") throw new FieldgateError("ERR_USAGE", "whom: client is missing");
  const wrong = subscriptionError(topic);
  if (wrong !== null) throw new FieldgateError("ERR_TOPIC", `${JSON.stringify(topic)} ${wrong}`);
  const principal = broker.desk.principalOf(clientId);
  const explained = access.explain(principal ?? access.principalNamed(clientId), clientId, topic);
  return { ...explained, clientId, topic, known: principal !== null };
}

/** What happens to the messages of a topic by the rules that it runs with, the site's over the file's. @throws FieldgateError ERR_TOPIC */
export function explainUplinkRoute(
  { config: { uplink, gateway } }: GatewayParts,
  { query }: ControlQuestion,
): RouteExplained {
  const topic = query.get("topic") ?? "";
  const wrong = topicNameError(topic);
  if (wrong !== null) throw new FieldgateError("ERR_TOPIC", `${JSON.stringify(topic)} ${wrong}`);
  return explainRoute(topic, uplink, { gateway: gateway.id, site: gateway.site });
}
