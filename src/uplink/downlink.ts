import { FieldgateError } from "../base/errors.ts";
import type { Log } from "../base/log.ts";
import type { Random } from "../base/random.ts";
import type { Service } from "../base/service.ts";
import type { DownConfig, UplinkConfig } from "../config/schema.ts";
import { topicNameError } from "../mqtt/topic.ts";
import { answerPayload } from "./answer.ts";
import type { CommandCloud, CommandConnection, CommandTerms } from "./command-cloud.ts";
import { CommandDesk, type DeskTools } from "./command-desk.ts";
import { type DownBalance, DownLedger } from "./down-ledger.ts";
import { shownEndpoint } from "./endpoints.ts";
import { LinkDriver, type LinkStatus } from "./link-driver.ts";
import { type Answer, ReplyLine } from "./reply-line.ts";
import type { GatewayIdentity } from "./rules.ts";
import { type CloudSession, readSession, writeSession } from "./session-row.ts";
import { compileSubscriptions, type Subscriptions } from "./subscriptions.ts";

export interface DownlinkTools extends Omit<DeskTools, "ledger" | "subscriptions"> {
  readonly random: Random;
  readonly identity: GatewayIdentity;
  readonly cloud: CommandCloud;
  readonly moreEndpoints?: () => readonly string[];
}

export interface DownlinkStatus extends LinkStatus, DownBalance {
  readonly protocol: CommandTerms["protocol"] | null;
  /** How often the cloud had forgotten our session, and with it the commands that waited there. */
  readonly sessionsLost: number;
  /** Filters that the cloud has refused; asked for again with the next connection. */
  readonly filtersRefused: readonly string[];
  /** Commands that are remembered, and how many had to be forgotten to make room. */
  readonly identities: number;
  readonly identitiesForgotten: number;
}

export interface Downlink extends Service {
  status(): DownlinkStatus;
}

/**
 * The way of commands from the cloud: subscribes there with a session that outlives us, gives each command to the router
 * once, acknowledges it when it is on disk, and answers.
 *
 * `start` resolves when what is remembered was read; the cloud may be away. `stop` leaves the session at the cloud.
 */
export function downlink(options: UplinkConfig, down: DownConfig, tools: DownlinkTools): Downlink {
  return new CloudDownlink(options, down, tools);
}

class CloudDownlink implements Downlink {
  readonly name = "downlink";
  readonly #tools: DownlinkTools;
  readonly #inflightMax: number;
  readonly #log: Log;
  readonly #subscriptions: Subscriptions;
  readonly #ledger = new DownLedger();
  readonly #desk: CommandDesk;
  readonly #link: LinkDriver;
  #line: ReplyLine | null = null;
  #terms: CommandTerms | null = null;
  #session: CloudSession | null = null;
  #sessionsLost = 0;
  #filtersRefused: readonly string[] = [];

  constructor(options: UplinkConfig, down: DownConfig, tools: DownlinkTools) {
    const log = tools.log.part("downlink");
    this.#tools = tools;
    this.#inflightMax = down.inflightMax;
    this.#log = log;
    this.#subscriptions = compileSubscriptions(down.subscriptions, tools.identity);
    const subscriptions = this.#subscriptions;
    this.#desk = new CommandDesk(down, { ...tools, log, subscriptions, ledger: this.#ledger });
    this.#link = new LinkDriver(
      options,
      { ...tools, log },
      { open: (endpoint) => this.#open(endpoint), closing: () => this.#closing() },
    );
  }

  async start(): Promise<void> {
    this.#session = await readSession(this.#tools.rows);
    await this.#desk.load();
    this.#link.promote();
  }

  /** What was taken is on disk, and acknowledged where the connection still stands. */
  async stop(): Promise<void> {
    const { clock, journal } = this.#tools;
    const turn = () => new Promise<void>((resolve) => clock.afterTurn(resolve));
    this.#line?.takeNoMore();
    await turn(); // what was read already is taken
    await journal.committed().catch(() => undefined); // the journal itself has said what is wrong
    await turn();
    await this.#link.demote();
  }

  status(): DownlinkStatus {
    return {
      ...this.#link.status(),
      ...this.#ledger.balance(),
      protocol: this.#terms?.protocol ?? null,
      sessionsLost: this.#sessionsLost,
      filtersRefused: this.#filtersRefused,
      identities: this.#desk.seen.size,
      identitiesForgotten: this.#desk.seen.forgotten,
    };
  }

  #open(endpoint: string): CommandConnection {
    let line: ReplyLine;
    const connection: CommandConnection = this.#tools.cloud.open(endpoint, {
      opened: (terms) => {
        line = this.#lineOver(connection, terms);
        this.#line = line;
        this.#terms = terms;
        void this.#agree(endpoint, connection, line, terms);
      },
      arrived: (arrival) => this.#desk.arrived(arrival, line),
      released: (packetId) => this.#desk.released(packetId, line),
      answered: (reasonCode) => {
        if (reasonCode >= 0x80) this.#unanswered("refused by the cloud", { reasonCode });
        line.answered();
      },
      closed: (error) => this.#link.failed(error),
    });
    return connection;
  }

  #lineOver(connection: CommandConnection, terms: CommandTerms): ReplyLine {
    return new ReplyLine({
      connection,
      answersMax: terms.receiveMax,
      // Under MQTT 5 it knows; under 3.1.1 nobody has told it.
      waitingMax: this.#inflightMax,
      protocol: terms.protocol,
      answer: (answer) => this.#answer(connection, answer),
      unanswered: ({ to }) => this.#unanswered("the cloud does not take answers", { to }),
      failed: (error) => this.#link.gaveUp(error),
    });
  }

  #closing(): void {
    this.#line?.end();
    this.#line = null;
    this.#terms = null;
  }

  /** The session and its subscriptions as we want them; the link is up once they stand. */
  async #agree(
    endpoint: string,
    connection: CommandConnection,
    line: ReplyLine,
    { sessionPresent, protocol }: CommandTerms,
  ): Promise<void> {
    const shown = shownEndpoint(endpoint);
    const wanted = this.#subscriptions.all.map(({ filter, qos }) => `${qos} ${filter}`);
    const agreed = sessionPresent ? (this.#session?.filters ?? []) : [];
    if (!sessionPresent) this.#sessionBegan(shown);
    try {
      const stands = wanted.length === agreed.length && wanted.every((one) => agreed.includes(one));
      if (!stands || this.#session === null) {
        await this.#subscribe(connection, line, agreed);
        if (line.refusing) return;
        const refused = new Set(this.#filtersRefused);
        const filters = wanted.filter((one) => !refused.has(filterOf(one)));
        this.#session = { endpoint: shown, filters };
        await writeSession(this.#tools.rows, this.#session);
      }
      if (line.refusing) return;
      this.#link.opened();
      this.#log.info("commands can come", { endpoint: shown, protocol, sessionPresent });
    } catch (cause) {
      if (line.refusing) return;
      const message = "the cloud did not accept the subscriptions";
      this.#link.failed(new FieldgateError("ERR_UPLINK_REFUSED", message, { cause }));
    }
  }

  async #subscribe(
    connection: CommandConnection,
    line: ReplyLine,
    agreed: readonly string[],
  ): Promise<void> {
    const { all } = this.#subscriptions;
    const codes = await connection.subscribe(all);
    const refused = all.filter((_, index) => (codes[index] ?? 0x80) >= 0x80);
    this.#filtersRefused = refused.map(({ filter }) => filter);
    if (refused.length > 0) {
      this.#log.error("the cloud refused subscriptions", { filters: this.#filtersRefused, codes });
    }
    const wanted = new Set(all.map(({ filter }) => filter));
    const left = agreed.map(filterOf).filter((filter) => !wanted.has(filter));
    if (left.length > 0 && !line.refusing) await connection.unsubscribe(left);
  }

  #sessionBegan(endpoint: string): void {
    this.#desk.sessionBegan();
    const before = this.#session;
    if (before === null) return;
    this.#sessionsLost++;
    const message =
      "the cloud has no session of ours any more: commands that waited there are lost";
    this.#log.warn(message, { endpoint, before: before.endpoint });
  }

  #answer(connection: CommandConnection, { to, id, topic, correlation, result }: Answer): boolean {
    const fault = topicNameError(to);
    if (fault !== null || this.#subscriptions.wouldReturn(to)) {
      this.#unanswered(fault ?? "would come back as a command", { to });
      return false;
    }
    const { clock, identity } = this.#tools;
    const payload = answerPayload(result, { id, topic }, identity, clock.wallMs());
    if (connection.answer(to, payload, correlation)) {
      this.#ledger.answers++;
      return true;
    }
    this.#unanswered("longer than the cloud takes", { to });
    return false;
  }

  /** Logged when the count doubles. */
  #unanswered(reason: string, fields: Readonly<Record<string, unknown>>): void {
    const count = ++this.#ledger.answersFailed;
    if ((count & (count - 1)) === 0) this.#log.warn("no answer", { reason, count, ...fields });
  }
}

/** The filter of what a session's row has: "QoS filter". */
function filterOf(agreed: string): string {
  return agreed.slice(2);
}
