import { duration } from "../base/duration.ts";
import { FieldgateError } from "../base/errors.ts";
import type { ClientStatus } from "../broker/clients.ts";
import type { Command } from "./command.ts";
import { askGateway, tellGateway } from "./socket.ts";
import { say, visible } from "./terminal.ts";
import { count, size } from "./words.ts";

export const command: Command = {
  actions: ["kick"],
  help: `fieldgate clients [--config FILE | --socket PATH] [--json]   who is connected, and what waits for whom
fieldgate clients kick ID                                    disconnect a client

Connected clients first, those that publish most at the top; then sessions whose client is away. kick closes the connection; the
client's will is published, its session stays, and nothing keeps it from coming back.

Examples:
  fieldgate clients
  fieldgate clients kick sensor-17
  fieldgate clients --json | jq '.clients[] | select(.queued > 1000) | .clientId'

Exit codes: 0 told or disconnected, 2 no such client is connected, 3 no gateway answers
`,

  async run(invocation) {
    const { rest, json } = invocation;
    const [action, id, ...more] = rest;
    if (action === undefined) {
      const told = (await askGateway(invocation, "clients")) as { clients: ClientStatus[] };
      say(json, told, () => screen(told.clients));
      return 0;
    }
    if (action !== "kick" || id === undefined || more.length > 0) {
      throw new FieldgateError("ERR_USAGE", "clients knows: fieldgate clients kick ID");
    }
    const told = await tellGateway(invocation, "clients/kick", { id });
    say(json, told, () => `${visible(id)} was disconnected\n`);
    return 0;
  },
};

/** A table of the sessions. */
export function screen(clients: readonly ClientStatus[]): string {
  const connected = clients.filter((each) => each.connected).length;
  const head = `${count(connected)} connected, ${count(clients.length - connected)} away\n`;
  if (clients.length === 0) return head;
  const rows = [COLUMNS, ...clients.map(cells)];
  const widths = COLUMNS.map((_, i) => Math.max(...rows.map((row) => row[i]?.length ?? 0)));
  const lines = rows.map((row) =>
    row
      .map((cell, i) => cell.padEnd(widths[i] ?? 0))
      .join("  ")
      .trimEnd(),
  );
  return `${head}  ${lines.join("\n  ")}\n`;
}

/** Characters of a client id; it may have thousands, which --json shows. */
const ID_SHOWN = 40;
const COLUMNS = ["client", "address", "for", "silent", "msg/s", "filters", "in flight", "queued"];

function cells(client: ClientStatus): string[] {
  const { clientId, remote, connectedMs, silentMs, perSecond, subscriptions } = client;
  return [
    visible(clientId, ID_SHOWN),
    remote ?? "away",
    connectedMs === null ? "-" : duration(connectedMs),
    silentMs === null ? "-" : duration(silentMs),
    perSecond.toFixed(1),
    count(subscriptions.length),
    count(client.inflight),
    waits(client),
  ];
}

/** A session that ends with its connection has a queue only while its client is slow. */
function waits({ persistent, queued, queuedBytes, dropped }: ClientStatus): string {
  const lost = dropped === 0 ? "" : `, ${count(dropped)} dropped`;
  if (queued > 0) return `${count(queued)} (${size(queuedBytes)})${lost}`;
  return `${persistent || dropped > 0 ? "0" : "-"}${lost}`;
}
