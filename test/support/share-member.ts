import assert from "node:assert/strict";
import { ack, subscribe } from "./mqtt-words.ts";
import { RawClient } from "./raw-client.ts";

/** What happened to all members of a test, in the order in which they looked. */
export type ShareLog = {
  readonly what: "new" | "completed";
  readonly who: string;
  readonly payload: string;
}[];

/** A member of a shared group that obeys the protocol, in its own time: acknowledgements wait until it is told to send them. */
export class ShareMember {
  readonly clientId: string;
  readonly clean: boolean;
  readonly #log: ShareLog;
  #client: RawClient | null = null;
  #seen = 0;
  #owed: (readonly ["puback" | "pubrec" | "pubcomp", number])[] = [];
  /** Identifiers of QoS 2 messages that were not released yet: what comes under one is no new message. */
  #unreleased = new Map<number, string>();

  /** Identifiers for which PUBREC was sent on this connection: PUBREL says that the gateway has it. */
  readonly #received = new Set<number>();

  constructor(clientId: string, clean: boolean, log: ShareLog) {
    this.#log = log;
    this.clientId = clientId;
    this.clean = clean;
  }

  get isHere(): boolean {
    return this.#client !== null && !this.#client.closed;
  }

  async come(port: number, filter: string, qos: 1 | 2): Promise<void> {
    const { clientId, clean } = this;
    this.leave();
    if (clean) this.#unreleased.clear();
    this.#client = await RawClient.connected(port, { clientId, clean });
    await subscribe(this.#client, filter, qos);
    this.look();
  }

  /** Without goodbye, and without what it owes. */
  leave(): void {
    this.#client?.drop();
    this.#client = null;
    this.#seen = 0;
    this.#owed = [];
    this.#received.clear();
  }

  /** Takes what has come. */
  look(): void {
    const { received = [] } = this.#client ?? {};
    for (; this.#seen < received.length; this.#seen++) {
      const packet = received[this.#seen];
      if (packet?.cmd === "publish") {
        this.#publish(packet.payload.toString(), packet.qos, packet.messageId ?? 0);
      } else if (packet?.cmd === "pubrel") {
        this.#release(packet.messageId ?? 0);
      }
    }
  }

  /** Sends the first `count` of the acknowledgements that it owes. */
  acknowledge(count: number): void {
    this.look();
    const owed = this.#owed.splice(0, count);
    for (const [cmd, id] of owed) if (cmd === "pubrec") this.#received.add(id);
    if (owed.length > 0) this.#client?.send(...owed.map(([cmd, id]) => ack(cmd, id)));
  }

  #publish(payload: string, qos: number, packetId: number): void {
    if (qos === 1) {
      this.#say("new", payload);
      this.#owed.push(["puback", packetId]);
      return;
    }
    const held = this.#unreleased.get(packetId);
    assert.ok(held === undefined || held === payload, `${payload} would be taken for ${held}`);
    if (held === undefined) this.#say("new", payload);
    this.#unreleased.set(packetId, payload);
    this.#owed.push(["pubrec", packetId]);
  }

  #release(packetId: number): void {
    const payload = this.#unreleased.get(packetId);
    this.#unreleased.delete(packetId);
    if (payload !== undefined && this.#received.delete(packetId)) this.#say("completed", payload);
    this.#owed.push(["pubcomp", packetId]);
  }

  #say(what: "new" | "completed", payload: string): void {
    this.#log.push({ what, who: this.clientId, payload });
  }
}
