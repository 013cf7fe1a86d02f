import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { within } from "../support/within.ts";

/** What a process did to its store's log and to its sockets, in the order in which it took effect. */
export type Deed =
  /** Bytes handed to the file of that name: counted when the call has returned. */
  | { readonly to: "file"; readonly name: string; readonly bytes: Buffer }
  /** A sync of the file has returned. */
  | { readonly to: "sync"; readonly name: string }
  /** Bytes handed to a TCP connection: counted when the call begins. */
  | { readonly to: "socket"; readonly name: string; readonly bytes: Buffer };

const CALLS = "write,writev,pwrite64,pwritev,sendto,sendmsg,fdatasync,fsync";
const ATTACH_MS_MAX = 10_000;

/** strace on a running process. */
export class SyscallTrace {
  readonly #file: string;
  readonly #strace: ChildProcess;

  private constructor(file: string, strace: ChildProcess) {
    this.#file = file;
    this.#strace = strace;
  }

  /** Resolves with the trace when it is on, or with the reason why it cannot be. */
  static async on(pid: number, file: string): Promise<SyscallTrace | string> {
    // Descriptors with their names, and all bytes in hexadecimal.
    const words = ["-f", "-yy", "-xx", "-s", "1000000", "-e", `trace=${CALLS}`, "-o", file];
    const strace = spawn("strace", [...words, "-p", `${pid}`], {
      stdio: ["ignore", "ignore", "pipe"],
    });
    const failed = once(strace, "error").then(([error]) => `strace: ${error.message}`);
    const said = (async () => {
      for await (const line of createInterface({ input: strace.stderr })) {
        return / attached/.test(line) ? null : line;
      }
      return "strace ended without a word";
    })();
    const refusal = await within(ATTACH_MS_MAX, "strace attaches", Promise.race([failed, said]));
    if (refusal !== null) strace.kill();
    return refusal ?? new SyscallTrace(file, strace);
  }

  /** Everything that was done, once the process has ended. */
  async ended(): Promise<Deed[]> {
    if (this.#strace.exitCode === null && this.#strace.signalCode === null) {
      await within(ATTACH_MS_MAX, "strace ends", once(this.#strace, "exit"));
    }
    return readTrace(readFileSync(this.#file, "latin1"));
  }
}

/**
 * Reads what strace has written. A call during which another thread did something stands in two lines:
 *
 *     17 fdatasync(20<\x2f\x74…> <unfinished ...>
 *     17 <... fdatasync resumed>) = 0
 */
export function readTrace(text: string): Deed[] {
  const deeds: Deed[] = [];
  const open = new Map<string, Call>();
  for (const line of text.split("\n")) {
    const [, pid = "", rest = ""] = /^(\d+) +(.*)$/.exec(line) ?? [];
    const call = rest.startsWith("<... ") ? open.get(pid) : parseCall(rest);
    if (call === undefined) continue;
    const begins = !rest.startsWith("<... ");
    const ends = !rest.endsWith("<unfinished ...>");
    if (begins) open.set(pid, call);
    if (begins && call.isSocket) {
      deeds.push({ to: "socket", name: call.name, bytes: call.bytes });
    }
    if (!ends || call.isSocket || /= -1 [A-Z]/.test(rest)) continue;
    if (call.isSync) deeds.push({ to: "sync", name: call.name });
    else deeds.push({ to: "file", name: call.name, bytes: call.bytes });
  }
  return deeds;
}

interface Call {
  readonly name: string;
  readonly isSocket: boolean;
  readonly isSync: boolean;
  readonly bytes: Buffer;
}

/** `write(20<NAME>, "\x0c…", 84) = 84`, `writev(25<TCP:[…]>, [{iov_base="\x40…", iov_len=4}, …], 2) = 8`. */
function parseCall(text: string): Call | undefined {
  const [, call = "", name, words = ""] = /^(\w+)\(\d+<(.*?)>(?=[,) ])(.*)$/.exec(text) ?? [];
  if (name === undefined) return undefined;
  const strings = [...words.matchAll(/"((?:\\x[0-9a-f]{2})*)"/g)].map(([, hex = ""]) => unhex(hex));
  const isSocket = name.startsWith("TCP");
  return {
    name: isSocket ? name : unhex(name).toString(),
    isSocket,
    isSync: call.endsWith("sync"),
    bytes: Buffer.concat(strings),
  };
}

function unhex(text: string): Buffer {
  return Buffer.from(text.replaceAll("\\x", ""), "hex");
}
