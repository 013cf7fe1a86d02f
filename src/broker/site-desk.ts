import { errorFields } from "../base/errors.ts";
import type { Log } from "../base/log.ts";
import type { Rows } from "../base/rows.ts";
import type { Message } from "../mqtt/message.ts";
import type { ReturnCode, Rights } from "./access.ts";
import { Adoption } from "./adoption.ts";
import type { ConnectClaims } from "./aedes-control.ts";
import type { Counters } from "./counters.ts";
import { type ControlPersistence, levelPersistence, type StoredWill } from "./level-persistence.ts";
import type { BrokerJournal, Elsewhere } from "./ports.ts";
import type { SessionLimits } from "./session-limits.ts";
import { principalIn } from "./session-rows.ts";
import type { Sessions } from "./sessions.ts";
import { publishWillsLeft } from "./wills-left.ts";

interface SiteTools {
  readonly journal: BrokerJournal;
  readonly log: Log;
  readonly elsewhere?: Elsewhere;
  readonly sessions: Sessions;
  readonly persistence: ControlPersistence;
  readonly counters: Counters;
  readonly admission: { mayPublishLeft(will: StoredWill, owner: string): boolean };
  readonly publishWill: (will: Message, owner: string) => Promise<void>;
}

/** What this broker and the other gateways of the site ask of each other about clients that come and go. */
export class SiteDesk {
  readonly #limits: SessionLimits;
  readonly #tools: SiteTools;

  constructor(limits: SessionLimits, tools: SiteTools) {
    this.#limits = limits;
    this.#tools = tools;
  }

  /** The answer to a CONNECT. Once it is 0 the session is here, if there is one at the site. @param code the answer otherwise */
  come(
    code: ReturnCode | Promise<ReturnCode>,
    client: { readonly rights: Rights },
    claims: ConnectClaims,
  ): ReturnCode | Promise<ReturnCode> {
    const { elsewhere } = this.#tools;
    if (elsewhere === undefined) return code;
    if (typeof code !== "number") return code.then((judged) => this.come(judged, client, claims));
    if (code !== 0) return code;
    const { clientId, clean } = claims;
    const answer = elsewhere.come(clientId, clean, client.rights.principal.user);
    return typeof answer === "number"
      ? this.#said(answer)
      : answer.then((said) => this.#said(said));
  }

  #said(answer: 0 | 3 | 5): ReturnCode {
    if (answer === 3) this.#tools.counters.closed("session cannot be had now");
    if (answer === 5) this.#tools.counters.closed("client id of another user");
    return answer;
  }

  /** Those that an earlier process has left. Where there are other gateways it goes on by itself: one of them may have done it. */
  async publishWillsLeft(): Promise<void> {
    const { persistence, elsewhere, log, admission, publishWill } = this.#tools;
    const left = await willsIn(persistence);
    const publishing = async () => {
      if (left.length > 0) await elsewhere?.settled();
      await publishWillsLeft(left, persistence, {
        log,
        mayPublish: async (will, owner) =>
          !(await elsewhere?.hasPublished(will.clientId)) && admission.mayPublishLeft(will, owner),
        publish: publishWill,
      });
    };
    if (elsewhere === undefined) return await publishing();
    publishing().catch((error) => log.error("wills are not published", errorFields(error)));
  }

  // ——— what the others ask

  has(client: string): boolean {
    return this.#tools.sessions.persistentOf(client) !== null;
  }

  close(client: string, reason: string): void {
    this.#tools.sessions.linkOf(client)?.close(reason);
  }

  giveUp(client: string, reason: string): void {
    const { sessions, persistence, log } = this.#tools;
    if (!sessions.giveUp(client, reason)) return;
    log.info("a session has moved to another gateway", { clientId: client, reason });
    const forgotten = persistence.cleanSubscriptions({ id: client });
    forgotten.catch((error) => log.error("row not written", errorFields(error)));
  }

  ownerIn(row: Uint8Array): string | null {
    return principalIn(row)?.user ?? null;
  }

  /** @param rows what another gateway keeps as this one keeps it itself */
  subscriptionsIn(rows: Rows, client: string) {
    return levelPersistence(rows).subscriptionsByClient({ id: client });
  }

  async willsIn(rows: Rows) {
    const wills = await willsIn(levelPersistence(rows));
    return wills.map((will) => ({
      ...will,
      name: will.clientId,
      client: ownerOf(will),
      properties: null,
    }));
  }

  async publishWill(will: Message & { readonly name: string; readonly client: string }) {
    const { admission, publishWill } = this.#tools;
    if (admission.mayPublishLeft({ ...will, clientId: will.name }, will.client)) {
      await publishWill(will, will.client);
    }
  }

  /** @param lane of what came from another gateway */
  adopt(client: string, afterIndex: number, lane: number): Adoption {
    return new Adoption(client, afterIndex, { limits: this.#limits, ...this.#tools, lane });
  }
}

async function willsIn(persistence: ControlPersistence): Promise<StoredWill[]> {
  const wills: StoredWill[] = [];
  for await (const will of persistence.storedWills()) wills.push(will);
  return wills;
}

/** The name of a row begins with the client's id: see WillRows. */
function ownerOf({ clientId }: StoredWill): string {
  return clientId.split("\0")[0] ?? "";
}
