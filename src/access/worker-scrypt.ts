import { Worker } from "node:worker_threads";
import type { Clock } from "../base/clock.ts";
import { givingWay } from "../base/giving-way.ts";
import type { PasswordJudge } from "./password-check.ts";
import { costOptions, isSame, type PasswordHash } from "./phc.ts";

/** Without anything to derive for so long the thread ends: nobody logs in all the time. */
const IDLE_MS_MAX = 60_000;
const HEAP_MIB_MAX = 8;
const ENDED = "the thread that compares passwords has ended";

/** What the thread does. As text, because the program is one script. */
const WORK = `${givingWay("PRIORITY_BELOW_NORMAL")}
  const { scryptSync } = require("node:crypto");
  const { parentPort } = require("node:worker_threads");
  parentPort.on("message", ({ password, salt, bytes, options }) => {
    parentPort.postMessage(scryptSync(password, salt, bytes, options));
  });
`;

interface Waiting {
  resolve(hash: Uint8Array): void;
  reject(error: unknown): void;
}

/**
 * Compares passwords on a thread of its own that gives way to all others: scrypt takes a tenth of a second of a core and 32 MiB,
 * and guesses must not cost those who are served. One at a time; begins with the first password, not with the gateway.
 */
export class WorkerScrypt implements PasswordJudge {
  readonly #clock: Clock;
  #worker: Worker | null = null;
  #waiting: Waiting | null = null;
  #idle: AbortController | null = null;
  #isStopped = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Whether that is the password; as isPassword. Rejects when the thread cannot work, or was stopped meanwhile. */
  async isPassword(password: Buffer, known: PasswordHash): Promise<boolean> {
    this.#idle?.abort();
    if (this.#isStopped) throw new Error(ENDED);
    const worker = this.#worker ?? this.#begin();
    worker.ref();
    try {
      const hash = await new Promise<Uint8Array>((resolve, reject) => {
        this.#waiting = { resolve, reject };
        const { salt, hash: wanted } = known;
        worker.postMessage({ password, salt, bytes: wanted.length, options: costOptions(known) });
      });
      return isSame(hash, password, known);
    } finally {
      this.#waiting = null;
      worker.unref();
      this.#rest();
    }
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#idle?.abort();
    await this.#worker?.terminate();
  }

  #begin(): Worker {
    const resourceLimits = { maxOldGenerationSizeMb: HEAP_MIB_MAX, stackSizeMb: 1 };
    const options = { eval: true, name: "scrypt", execArgv: [], resourceLimits };
    const worker = new Worker(WORK, options);
    worker.on("message", (hash: Uint8Array) => this.#waiting?.resolve(hash));
    const ended = (why: Error) => {
      if (this.#worker !== worker) return;
      this.#worker = null;
      this.#waiting?.reject(why);
    };
    worker.on("error", ended);
    worker.on("exit", () => ended(new Error(ENDED)));
    this.#worker = worker;
    return worker;
  }

  #rest(): void {
    if (this.#isStopped) return;
    const idle = new AbortController();
    this.#idle = idle;
    const end = () => {
      const worker = this.#worker;
      this.#worker = null;
      return worker?.terminate();
    };
    this.#clock.sleep(IDLE_MS_MAX, idle.signal).then(end, () => {});
  }
}
