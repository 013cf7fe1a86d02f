import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { ask } from "../../src/control/control-client.ts";
import type { GatewayStatus } from "../../src/gateway-status.ts";
import { Program } from "../support/program.ts";
import { until } from "../support/until.ts";
import type { BrokerUnderTest } from "./broker-under-test.ts";
import type { CloudEnd } from "./cloud-end.ts";
import { ALL } from "./message.ts";

const SETTLE_MS_MAX = 5000;

export interface FieldgateOptions {
  readonly durability: "local" | "fast";
  /** Bytes of the store: with few, LevelDB merges its files early. */
  readonly bytesMax: number;
  readonly cloud: CloudEnd;
}

/** The program as it is shipped. Its configuration and its control socket lie in `folder`. */
export class FieldgateBroker implements BrokerUnderTest {
  readonly name: string;
  readonly cloud: CloudEnd;
  readonly #folder: string;
  readonly #options: FieldgateOptions;
  readonly #program: Program;
  readonly #atExit = () => {
    if (this.#program.pid > 0) process.kill(this.#program.pid, "SIGKILL");
  };

  constructor(folder: string, options: FieldgateOptions) {
    this.name = `fieldgate, ${options.durability}`;
    this.cloud = options.cloud;
    this.#folder = folder;
    this.#options = options;
    this.#program = new Program(join(folder, "fieldgate.json"));
  }

  async start(storePath: string): Promise<number> {
    const { durability, bytesMax, cloud } = this.#options;
    const config = {
      gateway: { id: "gw-cut", site: "plant-7" },
      store: { path: storePath, durability, bytesMax },
      listeners: [{ name: "lan", port: 0 }],
      uplink: {
        endpoints: [cloud.endpoint],
        rules: [{ match: ALL }],
        backoffFirstMs: 50,
        backoffMaxMs: 200,
      },
      control: { socket: this.#socket },
    };
    writeFileSync(join(this.#folder, "fieldgate.json"), JSON.stringify(config));
    process.once("exit", this.#atExit);
    return this.#program.start();
  }

  async kill(): Promise<void> {
    await this.#program.kill();
    process.off("exit", this.#atExit);
  }

  async terminate(): Promise<void> {
    const code = await this.#program.terminate();
    process.off("exit", this.#atExit);
    if (code !== 0) throw new Error(`it ended with ${code} on SIGTERM: ${this.#program.stray}`);
  }

  reports(): readonly string[] {
    return this.#program.lines
      .filter(({ level, part }) => (level === "warn" || level === "error") && part !== "uplink")
      .map(({ message, error }) => (error === undefined ? `${message}` : `${message} (${error})`));
  }

  async imbalance(identities: number): Promise<string | null> {
    let status = await this.#status();
    const settled = async () => {
      status = await this.#status();
      return status.ledger.telemetry.queued === 0;
    };
    await until("the uplink has settled everything", settled, SETTLE_MS_MAX).catch(() => {});
    const { journal, ledger } = status;
    const { accepted, queued } = ledger.telemetry;
    if (journal.state !== "open") return `the journal is ${journal.state}: ${journal.error}`;
    if (queued !== 0) return `${queued} stay queued for the cloud, which has taken all`;
    if (accepted === identities) return null;
    return `${accepted} accepted by its own count, ${identities} came to the cloud`;
  }

  get #socket(): string {
    return join(this.#folder, "control.sock");
  }

  async #status(): Promise<GatewayStatus> {
    return (await ask(this.#socket, "status")) as GatewayStatus;
  }
}
