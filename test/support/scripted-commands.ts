import type { IPublishPacket, Packet } from "mqtt-packet";
import { acknowledge, ScriptedBroker, type Visit } from "./scripted-broker.ts";
import { until } from "./until.ts";

type Properties = NonNullable<IPublishPacket["properties"]>;

/** The cloud of a downlink that says exactly what a test wants, and remembers what it was told. */
export class ScriptedCommands {
  /** Filters subscribed to, connection by connection. */
  readonly subscribed: string[] = [];
  readonly unsubscribed: string[] = [];
  /** "puback 7", "pubrec 7", "pubcomp 7", "answer accepted", with a reason code when it is not 0. */
  readonly told: string[] = [];
  readonly answers: IPublishPacket[] = [];
  sessionPresent = false;
  /** Reason codes of the next SUBACK. */
  grants: number[] | null = null;
  /** Called with each acknowledgement as it is told. */
  onAcknowledged: (type: "puback" | "pubrec" | "pubcomp", messageId: number) => void = () => {};
  /** Answers to the answers. */
  acknowledgesAnswers = true;
  readonly broker: ScriptedBroker;

  private constructor(broker: ScriptedBroker) {
    this.broker = broker;
  }

  static async start(version: 4 | 5 = 5, receiveMaximum = 100): Promise<ScriptedCommands> {
    const made: ScriptedCommands = new ScriptedCommands(
      await ScriptedBroker.start({
        connected: (visit) => made.#accept(visit, version, receiveMaximum),
        published: (visit, packet) => made.#answered(visit, packet),
        received: (visit, packet) => made.#received(visit, packet),
      }),
    );
    return made;
  }

  /** Resolves when that many connections have subscribed or resumed. */
  async stands(visits = 1): Promise<Visit> {
    await until("connected", () => this.broker.visits.length >= visits);
    const visit = this.broker.visits.at(-1) as Visit;
    if (!this.sessionPresent) await until("subscribed", () => this.subscribed.length > 0);
    return visit;
  }

  /** A command, by default with QoS 1 on `sites/plant-7/commands/pump`. */
  send(payload: string, more: Partial<IPublishPacket> & { user?: Properties["userProperties"] }) {
    const { user, properties, ...rest } = more;
    const both = { ...properties, ...(user === undefined ? {} : { userProperties: user }) };
    this.broker.visits.at(-1)?.send({
      cmd: "publish",
      topic: "sites/plant-7/commands/pump",
      payload,
      qos: 1,
      dup: false,
      retain: false,
      messageId: 1,
      ...(Object.keys(both).length === 0 ? {} : { properties: both }),
      ...rest,
    });
  }

  release(messageId: number): void {
    this.broker.visits.at(-1)?.send({ cmd: "pubrel", messageId });
  }

  /** Resolves when it was told this, as often as `times`. */
  async heard(what: string, times = 1): Promise<void> {
    await until(`${what} in ${this.told}`, () => this.count(what) >= times);
  }

  count(what: string): number {
    return this.told.filter((one) => one === what).length;
  }

  /** The payloads of the answers. */
  get results(): Record<string, unknown>[] {
    return this.answers.map(({ payload }) => JSON.parse(payload.toString()));
  }

  acknowledgeAnswer(index: number): void {
    acknowledge(this.broker.visits.at(-1) as Visit, this.answers[index] as IPublishPacket);
  }

  async stop(): Promise<void> {
    await this.broker.stop();
  }

  #accept(visit: Visit, version: number, receiveMaximum: number): void {
    const { sessionPresent } = this;
    if (visit.version > version) visit.send({ cmd: "connack", sessionPresent, reasonCode: 0x84 });
    else if (visit.version === 5) {
      visit.send({ cmd: "connack", sessionPresent, reasonCode: 0, properties: { receiveMaximum } });
    } else visit.send({ cmd: "connack", sessionPresent, returnCode: 0 });
  }

  #answered(visit: Visit, packet: IPublishPacket): void {
    this.answers.push(packet);
    this.told.push(`answer ${JSON.parse(packet.payload.toString()).result}`);
    if (this.acknowledgesAnswers) acknowledge(visit, packet);
  }

  #received(visit: Visit, packet: Packet): void {
    if (packet.cmd === "subscribe") {
      this.subscribed.push(...packet.subscriptions.map(({ topic }) => topic));
      const granted = this.grants ?? packet.subscriptions.map(({ qos }) => qos);
      visit.send({ cmd: "suback", messageId: packet.messageId ?? 0, granted });
    } else if (packet.cmd === "unsubscribe") {
      this.unsubscribed.push(...packet.unsubscriptions);
      const granted = packet.unsubscriptions.map(() => 0);
      visit.send({ cmd: "unsuback", messageId: packet.messageId ?? 0, granted });
    } else if (packet.cmd === "puback" || packet.cmd === "pubrec" || packet.cmd === "pubcomp") {
      const code = packet.reasonCode ?? 0;
      this.onAcknowledged(packet.cmd, packet.messageId ?? 0);
      this.told.push(`${packet.cmd} ${packet.messageId}${code === 0 ? "" : ` ${code}`}`);
    }
  }
}
