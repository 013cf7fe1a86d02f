import { publish } from "./mqtt-words.ts";
import { type Delivery, OracleClient } from "./oracle-client.ts";
import type { Step } from "./oracle-script.ts";
import { RawClient } from "./raw-client.ts";
import { until } from "./until.ts";

/** A broker that a script is played against. */
export interface Side {
  readonly port: number;
  /** Clients that it takes for connected. */
  connections(): number;
  /** How many PUBACKs, one after the other, say that what came before them is with its receivers. */
  readonly barriers: number;
}

/** What one step brought. */
export interface Outcome {
  /** By client id: what came to it, in order. Clients to whom nothing came are left out. */
  readonly delivered: Readonly<Record<string, readonly Delivery[]>>;
  /** Ids of the clients that are connected afterwards, sorted. */
  readonly connected: readonly string[];
  /** Of CONNACK or SUBACK, where the step has one. */
  readonly answer: unknown;
}

/** Nobody may subscribe to it: it serves to see that everything before it was dealt with. */
const BARRIER = "$oracle/barrier";
const ROUNDS_MAX = 200;

/** Plays a script; after each step it waits until both sides have nothing more to say. */
export async function play(side: Side, script: readonly Step[]): Promise<Outcome[]> {
  const player = new Player(side, await RawClient.connected(side.port, { clientId: "witness" }));
  const outcomes: Outcome[] = [];
  try {
    for (const step of script) outcomes.push(await player.play(step));
  } finally {
    player.end();
  }
  return outcomes;
}

class Player {
  readonly #side: Side;
  readonly #witness: RawClient;
  readonly #clients = new Map<string, OracleClient>();
  #barriers = 0;

  constructor(side: Side, witness: RawClient) {
    this.#side = side;
    this.#witness = witness;
  }

  async play(step: Step): Promise<Outcome> {
    const answer = await this.#do(step);
    await until(
      `${this.#clients.size + 1} connections, not ${this.#side.connections()}`,
      () => this.#side.connections() === this.#clients.size + 1,
      5000,
    );
    if (step.does !== "hush") await this.#settle();
    const delivered: Record<string, Delivery[]> = {};
    for (const [name, client] of this.#clients) {
      if (client.delivered.length > 0) delivered[name] = client.delivered;
      client.delivered = [];
    }
    return { delivered, connected: [...this.#clients.keys()].sort(), answer };
  }

  end(): void {
    for (const { raw } of this.#clients.values()) raw.drop();
    this.#witness.drop();
  }

  async #do(step: Step): Promise<unknown> {
    const client = this.#clients.get(step.client);
    if (step.does === "connect") return this.#connect(step, client);
    if (client === undefined) return null;
    if (step.does === "subscribe") return client.subscribe(step.filters);
    if (step.does === "unsubscribe") await client.unsubscribe(step.filters);
    else if (step.does === "publish") client.publish(step.messages);
    else if (step.does === "hush") client.hushed = true;
    else {
      if (step.does === "disconnect") {
        client.raw.send({ cmd: "disconnect" });
        await client.raw.ended();
      }
      client.raw.drop();
      this.#clients.delete(step.client);
    }
    return null;
  }

  /** Takes over what an earlier connection of the same client has [MQTT-3.1.4-2]. */
  async #connect(
    step: Extract<Step, { does: "connect" }>,
    old: OracleClient | undefined,
  ): Promise<unknown> {
    const { port } = this.#side;
    const client = await OracleClient.connected(port, step.client, step.clean, step.will);
    await old?.raw.ended();
    this.#clients.set(step.client, client);
    return client.sessionPresent;
  }

  /**
   * Rounds of acknowledgements and pings, until nothing new has come. What was published before the barriers is with its
   * receivers before their answer to a ping that follows them.
   */
  async #settle(): Promise<void> {
    let quiet = false;
    for (let round = 0; !quiet; round++) {
      if (round === ROUNDS_MAX) throw new Error("it does not settle");
      for (let barrier = 0; barrier < this.#side.barriers; barrier++) {
        this.#barriers = (this.#barriers % 65_535) + 1;
        this.#witness.send(publish(BARRIER, "", 1, this.#barriers));
        await this.#witness.next("puback");
      }
      const clients = [...this.#clients.values()];
      await Promise.all(clients.map(({ raw }) => raw.settled()));
      quiet = clients.map((client) => client.answer()).every((count) => count === 0);
    }
  }
}
