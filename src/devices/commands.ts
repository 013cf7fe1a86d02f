import type { Clock } from "../base/clock.ts";
import { errorFields } from "../base/errors.ts";
import type { Log } from "../base/log.ts";
import type { Service } from "../base/service.ts";
import type { DeviceConfig } from "../config/schema.ts";
import type { Message } from "../mqtt/message.ts";
import { type Command, parseCommand } from "./command.ts";
import type { CommandCounters, Device, DeviceSink, WriteResult } from "./device.ts";
import { type Identity, topicOf } from "./mapping.ts";

export interface CommandTools {
  readonly clock: Clock;
  readonly log: Log;
  readonly identity: Identity;
  readonly sink: DeviceSink;
  /** Calls `listener` with each message to that very topic, until the returned function is called. */
  readonly listen: (topic: string, listener: (message: Message) => void) => () => void;
  /** Asked in the turn in which bytes are written: of a device that gateways share, whether this one is the primary. */
  readonly mayWrite: () => boolean;
}

type Commanded = Pick<
  DeviceConfig,
  "name" | "commandTopic" | "replyTopic" | "commandDeadlineMs" | "commandsMax" | "commandIdsMax"
>;

/**
 * Commands for a device: one after the other, each answered on the reply topic. A command is written once at most: one
 * whose id was seen among the last `commandIdsMax` has its former reply again, and none is written behind its deadline.
 */
export class Commands implements Service {
  readonly name: string;
  readonly #config: Commanded;
  readonly #device: Pick<Device, "write">;
  readonly #tools: CommandTools;
  readonly #log: Log;
  readonly #replyTopic: string;
  /** Replies by id; null while the command waits. */
  readonly #seen = new Map<string, WriteResult | null>();
  #turn: Promise<void> = Promise.resolve();
  #replies = new Set<Promise<void>>();
  #waiting = 0;
  #received = 0;
  #success = 0;
  readonly #refused = new Map<string, number>();
  readonly #timeout = new Map<string, number>();
  #unlisten = () => {};
  #stopped = false;

  constructor(config: Commanded, device: Pick<Device, "write">, tools: CommandTools) {
    this.name = `commands ${config.name}`;
    this.#config = config;
    this.#device = device;
    this.#tools = tools;
    this.#log = tools.log.part("devices");
    const known = { ...tools.identity, device: config.name };
    this.#replyTopic = topicOf(config.replyTopic ?? `${config.commandTopic}/reply`, known);
  }

  async start(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    const { commandTopic, name } = this.#config;
    if (commandTopic === undefined) return;
    const topic = topicOf(commandTopic, { ...this.#tools.identity, device: name });
    this.#unlisten = this.#tools.listen(topic, (message) => this.#take(message));
  }

  /** What waits is refused; resolves when the last reply is kept. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#unlisten();
    await this.#turn;
    await Promise.all(this.#replies);
  }

  counters(): CommandCounters {
    return {
      received: this.#received,
      success: this.#success,
      refused: Object.fromEntries(this.#refused),
      timeout: Object.fromEntries(this.#timeout),
      waiting: this.#waiting,
    };
  }

  #take(message: Message): void {
    this.#received += 1;
    const command = parseCommand(message.payload);
    const refusal = this.#refusalOf(command, message);
    if (refusal !== null) this.#count({ is: "refused", reason: refusal });
    if ("refusal" in command || refusal !== null) {
      // One that was seen before has its former reply again; while it waits, that reply is still to come.
      const before = refusal === "repeated" ? this.#seen.get(command.id ?? "") : undefined;
      if (before !== null) {
        this.#reply(command.id, before ?? { is: "refused", reason: refusal ?? "not-a-command" });
      }
      return;
    }
    this.#remember(command.id, null);
    this.#waiting += 1;
    const receivedMs = this.#tools.clock.monotonicMs();
    this.#turn = this.#turn.then(() => this.#carryOut(command, receivedMs));
  }

  #refusalOf(command: ReturnType<typeof parseCommand>, message: Message): string | null {
    if ("refusal" in command) return command.refusal;
    // A retained command would be there for ever; who sends one does not mean "now".
    if (message.retain) return "retained";
    if (this.#seen.has(command.id)) return "repeated";
    return this.#waiting >= this.#config.commandsMax ? "too-many" : null;
  }

  async #carryOut(command: Command, receivedMs: number): Promise<void> {
    const deadlineMs = receivedMs + (command.deadlineMs ?? this.#config.commandDeadlineMs);
    const permit = (): WriteResult | null => {
      if (this.#stopped) return { is: "refused", reason: "stopping" };
      if (this.#tools.clock.monotonicMs() >= deadlineMs) {
        return { is: "timeout", reason: "deadline" };
      }
      return this.#tools.mayWrite() ? null : { is: "refused", reason: "not-primary" };
    };
    const result = permit() ?? (await this.#device.write(command.write, permit));
    this.#waiting -= 1;
    this.#remember(command.id, result);
    this.#count(result);
    this.#reply(command.id, result);
  }

  #remember(id: string, result: WriteResult | null): void {
    this.#seen.delete(id);
    this.#seen.set(id, result);
    for (const [oldest, settled] of this.#seen) {
      if (this.#seen.size <= this.#config.commandIdsMax || settled === null) break;
      this.#seen.delete(oldest);
    }
  }

  #count(result: WriteResult): void {
    if (result.is === "success") this.#success += 1;
    else {
      const counts = result.is === "refused" ? this.#refused : this.#timeout;
      counts.set(result.reason, (counts.get(result.reason) ?? 0) + 1);
    }
  }

  #reply(id: string | null, result: WriteResult): void {
    const { is, ...why } = result;
    const payload = Buffer.from(JSON.stringify({ id, result: is, ...why }));
    const message = { topic: this.#replyTopic, payload, qos: 1, retain: false, properties: null };
    const sending = this.#tools.sink.admit(message as Message).catch((error: unknown) => {
      this.#log.warn("reply not kept", { device: this.#config.name, ...errorFields(error) });
    });
    this.#replies.add(sending);
    void sending.finally(() => this.#replies.delete(sending));
  }
}
