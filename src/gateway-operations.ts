import type { ControlRoutes } from "./control/protocol.ts";
import { type GatewayParts, gatewayStatus, ledgerProof } from "./gateway-status.ts";

/** What the control socket answers: one line an operation. */
export function operations(parts: GatewayParts): ControlRoutes {
  return {
    "GET status": () => gatewayStatus(parts),
    "GET ledger": () => ledgerProof(parts),
  };
}
