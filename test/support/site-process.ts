import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { SiteStatus } from "../../src/site/site.ts";
import type { ChildNews, ChildOptions, ChildOrder } from "./site-child.ts";
import { until } from "./until.ts";
import { within } from "./within.ts";

const CHILD = join(import.meta.dirname, "site-child.ts");
const ANSWER_MS_MAX = 10_000;

/** That a gateway acted as primary under an epoch, from when until when (monotonic ms of the machine). */
export interface Reign {
  readonly id: string;
  readonly epoch: number;
  readonly firstMs: number;
  lastMs: number;
}

/** The gateways of one site, each in its own process, and a book of who acted when. */
export class SiteProcesses {
  readonly reigns: Reign[] = [];
  readonly #options: Omit<ChildOptions, "id" | "journal" | "disk" | "endpoints">;
  readonly #running = new Set<SiteProcess>();
  #folder: Promise<string> | null = null;

  constructor(options: {
    readonly registrationTtlSeconds: number;
    readonly primaryTtlSeconds: number;
  }) {
    this.#options = { priority: 100, ...options };
  }

  /** With the disk that it had, when it ran before. */
  async start(id: string, endpoints: readonly string[]): Promise<SiteProcess> {
    this.#folder ??= mkdtemp(join(tmpdir(), "fieldgate-site-"));
    const disk = join(await this.#folder, id);
    const options = { ...this.#options, id, journal: `journal-${id}`, disk, endpoints };
    const process = new SiteProcess(options, (epoch, ms) => this.#acts(id, epoch, ms));
    this.#running.add(process);
    return process;
  }

  get lastReign(): Reign {
    const last = this.reigns.toSorted((a, b) => a.lastMs - b.lastMs).at(-1);
    if (last === undefined) throw new Error("nobody has acted yet");
    return last;
  }

  /** The reign after that one, when there is one. */
  after({ epoch }: Reign): Reign | undefined {
    return this.reigns.find((reign) => reign.epoch > epoch);
  }

  /** Time in which two acted: 0 when all is well. */
  get overlapMs(): number {
    const pairs = this.reigns.flatMap((a, index) =>
      this.reigns
        .slice(index + 1)
        .map((b) => Math.min(a.lastMs, b.lastMs) - Math.max(a.firstMs, b.firstMs)),
    );
    return Math.max(0, ...pairs);
  }

  async end(): Promise<void> {
    await Promise.all([...this.#running].map((process) => process.kill()));
    if (this.#folder !== null) await rm(await this.#folder, { recursive: true, force: true });
  }

  #acts(id: string, epoch: number, ms: number): void {
    const reign = this.reigns.find((one) => one.id === id && one.epoch === epoch);
    if (reign === undefined) this.reigns.push({ id, epoch, firstMs: ms, lastMs: ms });
    else reign.lastMs = ms;
  }
}

export class SiteProcess {
  readonly id: string;
  log = "";
  readonly #child: ChildProcess;
  readonly #acts: (epoch: number, ms: number) => void;
  #answer: (news: ChildNews) => void = () => {};

  constructor(options: ChildOptions, acts: (epoch: number, ms: number) => void) {
    this.id = options.id;
    this.#acts = acts;
    this.#child = fork(CHILD, [JSON.stringify(options)], { execArgv: ["--import", "tsx"] });
    this.#child.on("message", (news: ChildNews) => this.#hear(news));
  }

  async status(): Promise<SiteStatus> {
    const news = await this.#ask({ do: "status" });
    if (!("status" in news)) throw new Error(`no status: ${JSON.stringify(news)}`);
    return news.status;
  }

  /** Resolves when its status is so. */
  async untilStatus(what: string, claim: (status: SiteStatus) => boolean): Promise<void> {
    await until(`${this.id}: ${what}`, async () => claim(await this.status()));
  }

  /** @throws Error with the reason when it was refused */
  async handOver(to?: string): Promise<void> {
    const news = await this.#ask({ do: "hand over", ...(to === undefined ? {} : { to }) });
    if ("refused" in news) throw new Error(news.refused);
  }

  async stop(): Promise<void> {
    const exit = once(this.#child, "exit");
    this.#child.send({ do: "stop" } satisfies ChildOrder);
    await within(ANSWER_MS_MAX, `${this.id} did not stop`, exit);
  }

  /** SIGKILL. */
  async kill(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const exit = once(this.#child, "exit");
    this.#child.kill("SIGKILL");
    await exit;
  }

  pause(): void {
    this.#child.kill("SIGSTOP");
  }

  resume(): void {
    this.#child.kill("SIGCONT");
  }

  async #ask(order: ChildOrder): Promise<ChildNews> {
    const answer = new Promise<ChildNews>((resolve) => {
      this.#answer = resolve;
    });
    this.#child.send(order);
    return within(ANSWER_MS_MAX, `${this.id} did not answer`, answer);
  }

  #hear(news: ChildNews): void {
    if ("acts" in news) this.#acts(news.acts, news.ms);
    else if ("log" in news) this.log += news.log;
    else this.#answer(news);
  }
}
