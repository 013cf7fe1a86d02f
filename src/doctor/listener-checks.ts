import type { Config } from "../config/schema.ts";
import type { Check, Finding } from "./finding.ts";

/** Who can reach the broker, as configured: pure. */
export function listenerChecks({ listeners }: Config): readonly Check[] {
  return listeners.map((listener) => {
    const id = `listeners.${listener.name}`;
    return { id, run: async () => [finding(id, listener)] };
  });
}

function finding(
  id: string,
  { type, host, port, anonymous }: Config["listeners"][number],
): Finding {
  const at = `${type} ${host}:${port}`;
  if (isLoopback(host)) return { id, verdict: "fine", what: `${at}, this machine only` };
  if (anonymous) {
    return {
      id,
      verdict: "warning",
      what: `${at} takes anybody who can reach it`,
      why: "anonymous: true, beyond loopback",
      todo: "give clients credentials, or bind it to the network of the sensors only",
    };
  }
  return { id, verdict: "fine", what: `${at}, with credentials only` };
}

function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || host.startsWith("127.");
}
