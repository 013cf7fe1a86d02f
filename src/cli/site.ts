import { ask } from "../control/control-client.ts";
import type { GatewayStatus } from "../gateway.ts";
import type { Command } from "./command.ts";
import { socketOf } from "./socket.ts";

export const command: Command = {
  help: `fieldgate site [--config FILE | --socket PATH] [--json]   the gateways of the site, and who is primary

Exit codes: 0 there is a primary, 1 there is none, 3 no gateway answers
`,

  async run({ configPath, socket, json }) {
    const path = socket ?? (await socketOf(configPath));
    const { cluster, gateway } = (await ask(path, "status")) as GatewayStatus;
    process.stdout.write(json ? `${JSON.stringify(cluster)}\n` : screen(cluster, gateway));
    return cluster.role === "primary" || cluster.primary !== null ? 0 : 1;
  },
};

/** The screen of `fieldgate site`. */
export function screen(cluster: GatewayStatus["cluster"], self: string): string {
  const { role, epoch, primary, members, etcd } = cluster;
  const lines = [`${self} is ${role}${epoch === null ? "" : ` with epoch ${epoch}`}`];
  if (etcd === "none") lines.push("  alone: no cluster is configured");
  if (etcd === "silent") lines.push("  ! etcd does not answer");
  for (const { id, priority, version, offset } of members) {
    const mark = id === primary?.gateway ? "primary" : "";
    lines.push(
      `  ${id.padEnd(20)} ${mark.padEnd(8)} priority ${priority}, version ${version}, seq ${offset}`,
    );
  }
  return `${lines.join("\n")}\n`;
}
