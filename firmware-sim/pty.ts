import { type ChildProcess, spawn } from "node:child_process";
import type { Plug } from "./plug.ts";

/** More than this waits for a reader only when there is none: a UART has no memory for it either. */
const BACKLOG_BYTES_MAX = 4096;
const START_MS_MAX = 5000;

/** True when socat can be run. */
export async function hasSocat(): Promise<boolean> {
  const child = spawn("socat", ["-V"], { stdio: "ignore" });
  return new Promise((resolve) => {
    child.once("error", () => resolve(false));
    child.once("exit", (code) => resolve(code === 0));
  });
}

/**
 * A pseudo-terminal at `path`, made by socat: the sensor's bytes go into socat's standard input, the gateway opens the path as a
 * serial port. Pulling the plug ends socat: the path vanishes and an open port is hung up, as with a USB adapter.
 */
export function ptyPlug(path: string): Plug {
  let socat: ChildProcess | null = null;
  let listener: (bytes: Uint8Array) => void = () => {};
  return {
    hear(by) {
      listener = by;
    },
    port: path,
    write(bytes) {
      const input = socat?.stdin;
      if (!input?.writable || input.writableLength > BACKLOG_BYTES_MAX) return false;
      input.write(bytes);
      return true;
    },
    async plugIn() {
      if (socat !== null) return;
      socat = await startSocat(path);
      socat.stdout?.on("data", (chunk: Buffer) => listener(chunk));
    },
    async pull() {
      const child = socat;
      socat = null;
      if (child !== null) await ended(child);
    },
  };
}

async function startSocat(path: string): Promise<ChildProcess> {
  const child = spawn("socat", ["-d", "-d", `pty,raw,echo=0,link=${path}`, "STDIO"], {
    stdio: ["pipe", "pipe", "pipe"],
  });
  child.stdin?.on("error", () => {}); // The plug was pulled while bytes were on their way: they are lost.
  try {
    await ready(child);
  } catch (error) {
    child.kill();
    throw error;
  }
  // Read on, so that socat never waits for its own messages.
  child.stderr?.resume();
  return child;
}

function ready(child: ChildProcess): Promise<void> {
  return new Promise((resolve, reject) => {
    let said = "";
    const late = setTimeout(() => reject(new Error(`socat does not start: ${said}`)), START_MS_MAX);
    const end = (error: Error | null) => {
      clearTimeout(late);
      child.stderr?.removeAllListeners("data");
      if (error === null) resolve();
      else reject(error);
    };
    child.once("error", (error: NodeJS.ErrnoException) => {
      const missing = "socat is not installed: apt-get install socat, or use the tcp transport";
      end(error.code === "ENOENT" ? new Error(missing, { cause: error }) : error);
    });
    child.once("exit", (code) => end(new Error(`socat ended with ${code}: ${said}`)));
    child.stderr?.on("data", (chunk: Buffer) => {
      said += chunk.toString();
      if (said.includes("starting data transfer loop")) end(null);
    });
  });
}

function ended(child: ChildProcess): Promise<void> {
  return new Promise((resolve) => {
    if (child.exitCode !== null || child.signalCode !== null) {
      resolve();
      return;
    }
    child.once("exit", () => resolve());
    child.kill("SIGTERM");
  });
}
