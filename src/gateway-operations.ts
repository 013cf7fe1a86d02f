import { FieldgateError } from "./base/errors.ts";
import type { ControlQuestion, ControlRoutes } from "./control/protocol.ts";
import { apply, confirm, diff, revert, trialStatus } from "./gateway-config.ts";
import { readModbus, trace, writeModbus } from "./gateway-devices.ts";
import { explainAccess, explainUplinkRoute } from "./gateway-explain.ts";
import { drop, pause, peek, resume } from "./gateway-queue.ts";
import { type GatewayParts, gatewayStatus, ledgerProof } from "./gateway-status.ts";
import { clients, forget, kick, publish, retained, tail } from "./gateway-technician.ts";

/** What the control socket answers: one line an operation. */
export function operations(parts: GatewayParts): ControlRoutes {
  return {
    "GET status": () => gatewayStatus(parts),
    "GET ledger": () => ledgerProof(parts),
    "POST site/hand-over": (question) => handOver(parts, question),
    "GET tail": (question) => tail(parts, question),
    "POST publish": (question) => publish(parts, question),
    "GET access/explain": (question) => explainAccess(parts, question),
    "GET uplink/route": (question) => explainUplinkRoute(parts, question),
    "GET clients": () => clients(parts),
    "POST clients/kick": (question) => kick(parts, question),
    "POST clients/forget": (question) => forget(parts, question),
    "GET queue/peek": (question) => peek(parts, question),
    "POST queue/pause": (question) => pause(parts, question),
    "POST queue/resume": (question) => resume(parts, question),
    "POST queue/drop": (question) => drop(parts, question),
    "POST config/diff": (question) => diff(parts, question),
    "POST config/apply": (question) => apply(parts, question),
    "GET config/trial": () => trialStatus(parts),
    "POST config/confirm": () => confirm(parts),
    "POST config/revert": () => revert(parts),
    "GET serial/trace": (question) => trace(parts, question),
    "POST modbus/read": (question) => readModbus(parts, question),
    "POST modbus/write": (question) => writeModbus(parts, question),
    "GET retained": (question) => retained(parts, question),
  };
}

/** `POST site/hand-over`: to the gateway `to`, or without it to the best. */
function handOver({ site }: GatewayParts, { body: { to } }: ControlQuestion) {
  if (to === undefined || typeof to === "string") return site.handOver(to);
  throw new FieldgateError("ERR_USAGE", "to is the id of a gateway");
}
