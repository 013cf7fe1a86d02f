import { FieldgateError } from "../base/errors.ts";
import { systemClock } from "../base/system-clock.ts";
import type { GatewayStatus } from "../gateway-status.ts";
import type { HandOver } from "../site/hand-over.ts";
import type { Command, Invocation } from "./command.ts";
import { copiesLine, replicationReasons } from "./copies.ts";
import { understood } from "./other-version.ts";
import { siteReasons } from "./site-reasons.ts";
import { askGateway, tellGateway } from "./socket.ts";
import { say } from "./terminal.ts";

export const command: Command = {
  actions: ["status", "hand-over", "init", "enroll"],
  help: `fieldgate site [status] [--config FILE | --socket PATH] [--json]   the gateways of the site, and who is primary
fieldgate site hand-over [GATEWAY]         make another gateway primary: that one, or the best
fieldgate site init SITE [DIRECTORY]       make the site's certificate authority
fieldgate site enroll GATEWAY [DIRECTORY]  make the certificate of a gateway, signed by it

hand-over asks the gateway that is primary. init and enroll write to DIRECTORY (default: this one) and overwrite nothing.
The authority's key, site-ca.key, stays where enroll is used; a gateway needs site-ca.crt and its own two files:
see cluster.peer in docs/config.md.

Examples:
  fieldgate site
  fieldgate site hand-over gw-b
  fieldgate site init plant-7 /root/site
  fieldgate site enroll gw-b /root/site

Exit codes: 0 there is a primary, or it was done, 1 there is no primary, 2 it was not done, 3 no gateway answers
`,

  async run(invocation) {
    const [action, name, directory = "."] = invocation.rest;
    if (action === undefined || action === "status") return await show(invocation);
    if (action === "hand-over") return await handOver(invocation, name);
    if (action !== "init" && action !== "enroll") {
      throw new FieldgateError(
        "ERR_USAGE",
        `site knows status, hand-over, init and enroll, not ${action}`,
      );
    }
    if (name === undefined || invocation.rest.length > 3) {
      const wanted = action === "init" ? "the site's name" : "the gateway's id";
      throw new FieldgateError("ERR_USAGE", `site ${action} wants ${wanted}, and a directory`);
    }
    await (action === "init" ? init : enroll)(name, directory, invocation.json);
    return 0;
  },
};

async function show(invocation: Invocation): Promise<number> {
  const status = (await askGateway(invocation, "status")) as GatewayStatus;
  const { cluster, gateway, replication } = status;
  const shown = understood(
    status,
    () => `${screen(cluster, gateway)}${cluster.etcd === "none" ? "" : copies(replication)}`,
  );
  say(invocation.json, { ...cluster, replication }, () => shown);
  return cluster.role === "primary" || cluster.primary !== null ? 0 : 1;
}

async function handOver(invocation: Invocation, to: string | undefined): Promise<number> {
  if (invocation.rest.length > 2)
    throw new FieldgateError("ERR_USAGE", "site hand-over wants one gateway");
  const told = await tellGateway(invocation, "site/hand-over", to === undefined ? {} : { to });
  const done = told as HandOver;
  say(invocation.json, done, () => `${done.to} is primary now, with epoch ${done.epoch}.\n`);
  return 0;
}

async function init(site: string, directory: string, json: boolean): Promise<void> {
  const { initSite } = await import("../replica/file-certificates.ts");
  const files = await initSite(site, directory, systemClock);
  const text = `The authority of ${site}: ${files.cert}, and its key ${files.key}, which signs gateways: keep it safe.\n`;
  say(json, files, () => text);
}

async function enroll(gateway: string, directory: string, json: boolean): Promise<void> {
  const { enrollGateway } = await import("../replica/file-certificates.ts");
  const files = await enrollGateway(gateway, directory, systemClock);
  const text = `The certificate of ${gateway} at ${files.site}. Copy these to it, for cluster.peer:
  caFile    ${files.authority}
  certFile  ${files.cert}
  keyFile   ${files.key}
`;
  say(json, files, () => text);
}

function copies(replication: GatewayStatus["replication"]): string {
  const { critical, warning } = replicationReasons(replication);
  const lines = [...critical, ...warning].map((reason) => `  ! ${reason}\n`);
  return `  copies: ${copiesLine(replication)}\n${lines.join("")}`;
}

/** The screen of `fieldgate site`. */
export function screen(cluster: GatewayStatus["cluster"], self: string): string {
  const { role, epoch, primary, members, etcd } = cluster;
  const lines = [`${self} is ${role}${epoch === null ? "" : ` with epoch ${epoch}`}`];
  if (etcd === "none") lines.push("  alone: no cluster is configured");
  for (const reason of siteReasons(cluster)) lines.push(`  ! ${reason}`);
  for (const { id, priority, version, offset } of members) {
    const mark = id === primary?.gateway ? "primary" : "";
    lines.push(
      `  ${id.padEnd(20)} ${mark.padEnd(8)} priority ${priority}, version ${version}, seq ${offset}`,
    );
  }
  return `${lines.join("\n")}\n`;
}
