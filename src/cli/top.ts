import { duration } from "../base/duration.ts";
import { FieldgateError } from "../base/errors.ts";
import { systemClock } from "../base/system-clock.ts";
import type { ClientStatus } from "../broker/clients.ts";
import type { GatewayStatus } from "../gateway-status.ts";
import { screen as clientsScreen } from "./clients.ts";
import { type Command, numberOf } from "./command.ts";
import { askGateway } from "./socket.ts";
import { judge } from "./status.ts";
import { uplinkRows } from "./status-uplink.ts";
import { fitted, harmless, jsonLine, paint, visible } from "./terminal.ts";
import { row, size } from "./words.ts";

export const command: Command = {
  options: { count: { type: "string" }, every: { type: "string" } },
  help: `fieldgate top [--every SECONDS] [--count N] [--socket PATH] [--json]   the gateway at work, live

Messages a second in and out, the store, the uplink, what wants attention, and the clients that publish most. On a terminal
the screen is drawn anew; q or Ctrl-C ends. Elsewhere one screen follows the other; with --json one object a line.

  --every SECONDS   how often (2)
  --count N         end after N screens

Examples:
  fieldgate top
  fieldgate top --every 10 --count 6 --json > minute.jsonl

Exit codes: 0 ended by --count, q or Ctrl-C, 3 no gateway answers
`,

  async run(invocation) {
    if (invocation.rest.length > 0) throw new FieldgateError("ERR_USAGE", "top wants no words");
    const everyMs = 1000 * numberOf(invocation, "every", { usual: 2, min: 1, max: 3600 });
    let left = numberOf(invocation, "count", { usual: Infinity, min: 1, max: 1e9 });
    const isLive = process.stdout.isTTY === true && !invocation.json;
    const ended = new AbortController();
    const restore = isLive ? takeScreen(ended) : () => {};
    process.once("SIGINT", () => ended.abort());
    try {
      let before: Look | null = null;
      while (!ended.signal.aborted) {
        const now = await look(invocation);
        const shown = ratesOf(before, now);
        if (invocation.json) process.stdout.write(jsonLine(jsonOf(now, shown)));
        else
          process.stdout.write(
            isLive ? drawn(frame(now, shown)) : `${harmless(frame(now, shown))}\n`,
          );
        before = now;
        if (--left === 0) break;
        await systemClock.sleep(everyMs, ended.signal).catch(() => {});
      }
    } finally {
      restore();
    }
    return 0;
  },
};

/** Cursor to the top left, and what lies below it away. */
const HOME = "\u001b[H\u001b[J";
/** Lines are cut at the edge instead of going on below. */
const WRAP = { off: "\u001b[?7l", on: "\u001b[?7h" };
const CLIENTS_SHOWN = 10;

/** As much of a frame as the terminal has lines for. */
function drawn(text: string): string {
  const lines = harmless(fitted(text, process.stdout.columns)).trimEnd().split("\n");
  return `${HOME}${lines.slice(0, process.stdout.rows || lines.length).join("\r\n")}`;
}

interface Look {
  readonly atMs: number;
  readonly status: GatewayStatus;
  readonly clients: readonly ClientStatus[];
}

interface Rates {
  readonly acceptedPerSecond: number | null;
  readonly sentPerSecond: number | null;
  readonly commitsPerSecond: number | null;
}

async function look(invocation: Parameters<typeof askGateway>[0]): Promise<Look> {
  const status = (await askGateway(invocation, "status")) as GatewayStatus;
  const { clients } = (await askGateway(invocation, "clients")) as { clients: ClientStatus[] };
  return { atMs: systemClock.monotonicMs(), status, clients };
}

function ratesOf(before: Look | null, now: Look): Rates {
  const rate = (of: (status: GatewayStatus) => number) =>
    before === null
      ? null
      : Math.max(0, (of(now.status) - of(before.status)) / ((now.atMs - before.atMs) / 1000));
  return {
    acceptedPerSecond: rate(({ broker }) => broker.accepted),
    sentPerSecond: rate(({ broker }) => broker.sent),
    commitsPerSecond: rate(({ journal }) => journal.figures.commits),
  };
}

function jsonOf({ status, clients }: Look, rates: Rates) {
  const { gateway, broker, progress } = status;
  const { connections } = broker;
  const busiest = clients.slice(0, CLIENTS_SHOWN).map(({ clientId, perSecond }) => {
    return { clientId, perSecond };
  });
  return { gateway, ...rates, connections, progress, clients: busiest, ...judge(status) };
}

function frame({ status, clients }: Look, rates: Rates): string {
  const { gateway, site, uptimeMs, journal, broker } = status;
  const { reasons } = judge(status);
  const store = `${size(journal.storeBytes)} of ${size(journal.bytesMax)}, ${perSecond(rates.commitsPerSecond)} commits`;
  const latency = journal.figures.commitMsMedian;
  const lines = [
    `${paint("bold", `${gateway} at ${site}`)}, up ${duration(uptimeMs)}`,
    ...reasons.map((reason) => paint("yellow", `  ! ${visible(reason)}`)),
    row(
      "messages",
      `${perSecond(rates.acceptedPerSecond)} accepted, ${perSecond(rates.sentPerSecond)} sent to ${broker.connections} clients`,
    ),
    row("store", latency === null ? store : `${store} of ${latency.toFixed(1)} ms`),
    ...uplinkRows(status),
    "",
    clientsScreen(clients.slice(0, CLIENTS_SHOWN)),
  ];
  return lines.join("\n");
}

function perSecond(rate: number | null): string {
  return rate === null ? "-/s" : `${rate.toFixed(rate < 10 ? 1 : 0)}/s`;
}

/** Draws on a screen of its own, reads keys one by one; the returned function gives the terminal back. */
function takeScreen(ended: AbortController): () => void {
  const { stdin, stdout } = process;
  stdout.write(`\u001b[?1049h\u001b[?25l${WRAP.off}`);
  const onKey = (key: Buffer) => {
    if (key.includes("q") || key.includes(3)) ended.abort();
  };
  if (stdin.isTTY) stdin.setRawMode(true);
  stdin.on("data", onKey);
  return () => {
    stdin.off("data", onKey);
    if (stdin.isTTY) stdin.setRawMode(false);
    stdin.pause();
    stdout.write(`${WRAP.on}\u001b[?25h\u001b[?1049l`);
  };
}
