import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { within } from "./within.ts";

const START_MS_MAX = 20_000;

/** The program as its first line starts it, and the package's wrapper. */
export const PROGRAM: readonly string[] = [
  process.execPath,
  "--max-semi-space-size=2",
  "dist/fieldgate.js",
];

/** The real program, as it is shipped, run as `fieldgate run --config FILE`, with its log lines read. `npm test` builds it. */
export class Program {
  readonly lines: Record<string, unknown>[] = [];
  /** What it wrote that is no log line. */
  stray = "";
  readonly #configPath: string;
  readonly #command: readonly string[];
  readonly #startMsMax: number;
  #child: ChildProcess | null = null;
  #wake: () => void = () => {};

  /** @param command what starts it, when not this Node and the bundle of the checkout */
  constructor(configPath: string, command: readonly string[] = PROGRAM, startMsMax = START_MS_MAX) {
    this.#configPath = configPath;
    this.#command = command;
    this.#startMsMax = startMsMax;
  }

  get pid(): number {
    return this.#child?.pid ?? -1;
  }

  /** Resolves when it is ready, with the port of its first listener. */
  async start(): Promise<number> {
    this.lines.length = 0;
    const [program = "", ...argv] = [...this.#command, "run", "--config", this.#configPath];
    const child = spawn(program, argv, { stdio: ["ignore", "inherit", "pipe"] });
    this.#child = child;
    createInterface({ input: child.stderr }).on("line", (line) => this.#read(line));
    child.on("exit", () => this.#wake());
    const listening = await this.line("listening");
    await this.line("ready");
    return Number(listening["port"]);
  }

  /** The first log line with that message, waited for. */
  async line(message: string): Promise<Record<string, unknown>> {
    const look = async () => {
      for (;;) {
        const found = this.lines.find((line) => line["message"] === message);
        if (found !== undefined) return found;
        if (this.#ended()) throw new Error(`ended before "${message}": ${this.#said()}`);
        await new Promise<void>((wake) => {
          this.#wake = wake;
        });
      }
    };
    return within(this.#startMsMax, `no log line "${message}"`, look());
  }

  /** SIGSTOP: nothing of it runs until `thaw`. */
  freeze(): void {
    this.#child?.kill("SIGSTOP");
  }

  thaw(): void {
    this.#child?.kill("SIGCONT");
  }

  /** SIGKILL: the process has no say in it. */
  async kill(): Promise<void> {
    await this.#end("SIGKILL");
  }

  /** SIGTERM; resolves with the exit code. */
  async terminate(): Promise<number | null> {
    return this.#end("SIGTERM");
  }

  async #end(signal: NodeJS.Signals): Promise<number | null> {
    const child = this.#child;
    if (child === null || this.#ended()) return child?.exitCode ?? null;
    const exit = once(child, "exit");
    child.kill(signal);
    await within(15_000, `it did not end on ${signal}: ${this.#said()}`, exit);
    return child.exitCode;
  }

  #ended(): boolean {
    return this.#child === null || this.#child.exitCode !== null || this.#child.signalCode !== null;
  }

  #read(line: string): void {
    if (line.startsWith("{")) this.lines.push(JSON.parse(line));
    else this.stray += `${line}\n`;
    this.#wake();
  }

  #said(): string {
    return `${this.stray}${this.lines
      .slice(-5)
      .map((line) => JSON.stringify(line))
      .join("\n")}`;
  }
}
