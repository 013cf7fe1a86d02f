import { errorFields } from "../base/errors.ts";
import type { Log } from "../base/log.ts";
import type { Rows } from "../base/rows.ts";
import type { Access, Principal, Rights } from "./access.ts";

interface Source {
  readonly clientId: string;
  readonly principal: Principal;
  /** As its rows have it. */
  readonly text: string;
  /** So many messages that are retained are of it. */
  topics: number;
}

/**
 * Who has had a message retained, so that it is not given out once its publisher may not publish there any more. A row's
 * key is the topic, its value JSON { clientId, principal }; it commits together with the message, and is written only when
 * another one publishes. Nothing is kept of who is on loopback without a name, and of the gateway itself.
 */
export class RetainedSources {
  readonly #rows: Rows;
  readonly #access: Access;
  readonly #log: Log;
  readonly #byTopic = new Map<string, Source>();
  /** Of sources, as they are now; forgotten when rights change. */
  readonly #rights = new Map<Source, Rights>();
  /** How many topics each has: a user, or a client that has none. */
  readonly #topics = new Map<string, number>();
  /** One object for each client, however many topics. */
  readonly #known = new Map<string, Source>();

  constructor(rows: Rows, access: Access, log: Log) {
    this.#rows = rows;
    this.#access = access;
    this.#log = log;
  }

  async load(): Promise<void> {
    this.#access.onChange(() => this.#rights.clear());
    for await (const [topic, value] of this.#rows.entries({})) {
      this.#set(topic, this.#one(Buffer.from(value).toString()));
    }
  }

  /** A message was taken to be retained, or, when it is empty, to take away what was. */
  note(topic: string, isEmpty: boolean, rights: Rights | null): void {
    const before = this.#byTopic.get(topic);
    if (isEmpty || !isNamed(rights)) {
      if (before === undefined) return;
      this.#set(topic, undefined);
      this.#rows.del(topic).catch((error) => this.#rowFailed(error));
      return;
    }
    const text = JSON.stringify({ clientId: rights.clientId, principal: rights.principal });
    if (text === before?.text) return;
    this.#set(topic, this.#one(text));
    this.#rows.put(topic, Buffer.from(text)).catch((error) => this.#rowFailed(error));
  }

  /** How many topics have a retained message of that one; 0 for who is on loopback without a name, and for the gateway itself. */
  countOf(rights: Rights | null): number {
    return isNamed(rights) ? (this.#topics.get(ownerOf(rights)) ?? 0) : 0;
  }

  /** Whether what is retained there is of that one. */
  isOf(topic: string, rights: Rights | null): boolean {
    const source = this.#byTopic.get(topic);
    return source !== undefined && isNamed(rights) && ownerOf(source) === ownerOf(rights);
  }

  /** Whether what is retained there may be given out. */
  mayStand(topic: string): boolean {
    const source = this.#byTopic.get(topic);
    if (source === undefined) return true;
    let rights = this.#rights.get(source);
    if (rights === undefined) {
      rights = this.#access.rightsOf(source.principal, source.clientId);
      this.#rights.set(source, rights);
    }
    return rights.mayPublish(topic);
  }

  #set(topic: string, source: Source | undefined): void {
    const before = this.#byTopic.get(topic);
    if (before !== undefined) this.#count(before, -1);
    if (source === undefined) this.#byTopic.delete(topic);
    else {
      this.#byTopic.set(topic, source);
      this.#count(source, 1);
    }
  }

  /** Who has nothing retained any more is forgotten: clients that come once each would add up. */
  #count(source: Source, more: 1 | -1): void {
    source.topics += more;
    if (source.topics === 0) {
      this.#known.delete(source.text);
      this.#rights.delete(source);
    }
    const owner = ownerOf(source);
    const count = (this.#topics.get(owner) ?? 0) + more;
    if (count > 0) this.#topics.set(owner, count);
    else this.#topics.delete(owner);
  }

  #rowFailed(error: unknown): void {
    this.#log.error("row not written", errorFields(error));
  }

  #one(text: string): Source {
    let source = this.#known.get(text);
    if (source === undefined) {
      const { clientId, principal } = JSON.parse(text) as Pick<Source, "clientId" | "principal">;
      source = { clientId, principal, text, topics: 0 };
      this.#known.set(text, source);
    }
    return source;
  }
}

function isNamed(rights: Rights | null): rights is Rights {
  return rights !== null && rights.principal.method !== "local";
}

/** A client id is no user's name by its NUL [MQTT-1.5.3-2]. */
function ownerOf({ clientId, principal }: Pick<Source, "clientId" | "principal">): string {
  return principal.user ?? `\0${clientId}`;
}
