import { duration } from "../base/duration.ts";
import { FieldgateError } from "../base/errors.ts";
import { isoTime } from "../base/wall-time.ts";
import type { ClientStatus } from "../broker/clients.ts";
import type { Forgotten } from "../broker/session-ends.ts";
import { type Command, type Invocation, isGiven } from "./command.ts";
import { askGateway, tellGateway } from "./socket.ts";
import { say, visible } from "./terminal.ts";
import { count, size } from "./words.ts";

export const command: Command = {
  actions: ["kick", "forget"],
  options: { confirm: { type: "boolean" } },
  help: `fieldgate clients [--config FILE | --socket PATH] [--json]   who is connected, and what waits for whom
fieldgate clients kick ID                                    disconnect a client
fieldgate clients forget ID [--confirm]                      end the session of a client that is away

Connected clients first, those that publish most at the top; then sessions whose client is away, the longest at the end: for how
long counts while the gateway runs, since when is by its clock. kick closes the connection; the client's will is published, its
session stays, and nothing keeps it from coming back. forget ends a session, with its subscriptions and all that waits for it:
these messages are gone, counted as dropped (session-forgotten). Where some wait it only says how many, unless it is confirmed.
The sessions of clients that stay away end by themselves with mqtt.sessionExpiryHours.

  --confirm   forget it though messages wait for it

Examples:
  fieldgate clients
  fieldgate clients kick sensor-17
  fieldgate clients forget old-panel --confirm
  fieldgate clients --json | jq '.clients[] | select(.queued > 1000) | .clientId'
  fieldgate clients --json | jq '.clients[] | select(.awayMs > 30 * 86400000) | .clientId'

Exit codes: 0 told, disconnected or forgotten, 1 forget without --confirm, 2 refused, 3 no gateway answers
`,

  async run(invocation) {
    const { rest, json } = invocation;
    const [action, id, ...more] = rest;
    if (action === undefined) {
      const told = (await askGateway(invocation, "clients")) as { clients: ClientStatus[] };
      say(json, told, () => screen(told.clients));
      return 0;
    }
    if (!["kick", "forget"].includes(action) || id === undefined || more.length > 0) {
      throw new FieldgateError("ERR_USAGE", "clients knows kick ID and forget ID");
    }
    if (action === "forget") return forget(invocation, id);
    const told = await tellGateway(invocation, "clients/kick", { id });
    say(json, told, () => `${visible(id)} was disconnected\n`);
    return 0;
  },
};

async function forget(invocation: Invocation, id: string): Promise<number> {
  const confirm = isGiven(invocation, "confirm");
  const told = (await tellGateway(invocation, "clients/forget", { id, confirm })) as Forgotten;
  const { forgotten, messages } = told;
  const lost = messages === 1 ? "1 message" : `${count(messages)} messages`;
  const text = forgotten
    ? `the session of ${visible(id)} is forgotten; ${messages === 0 ? "nothing" : lost} waited for it\n`
    : `${lost} that waited for ${visible(id)} would be gone for good; --confirm forgets it\n`;
  say(invocation.json, told, () => text);
  return forgotten ? 0 : 1;
}

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
  const { clientId, connectedMs, awayMs, silentMs, perSecond, subscriptions } = client;
  const forMs = connectedMs ?? awayMs;
  return [
    visible(clientId, ID_SHOWN),
    whereabouts(client),
    forMs === null ? "-" : duration(forMs),
    silentMs === null ? "-" : duration(silentMs),
    perSecond.toFixed(1),
    count(subscriptions.length),
    count(client.inflight),
    waits(client),
  ];
}

function whereabouts({ remote, awaySinceMs }: ClientStatus): string {
  if (remote !== null) return remote;
  if (awaySinceMs === null) return "away";
  return `away since ${isoTime(awaySinceMs).slice(0, 16).replace("T", " ")}Z`;
}

/** A session that ends with its connection has a queue only while its client is slow. */
function waits({ persistent, queued, queuedBytes, dropped }: ClientStatus): string {
  const lost = dropped === 0 ? "" : `, ${count(dropped)} dropped`;
  if (queued > 0) return `${count(queued)} (${size(queuedBytes)})${lost}`;
  return `${persistent || dropped > 0 ? "0" : "-"}${lost}`;
}
