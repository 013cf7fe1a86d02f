import { mock } from "node:test";
import type { Command, Invocation } from "../../src/cli/command.ts";

/** Runs a command in this process; resolves with its exit code and what it wrote to standard output. */
export async function runCommand(
  command: Command,
  invocation: Partial<Invocation>,
): Promise<{ readonly code: number; readonly out: string }> {
  let out = "";
  const { write } = process.stdout;
  // The runner's own reports are bytes: they go their way.
  const told = mock.method(process.stdout, "write", (chunk: string | Uint8Array) => {
    if (typeof chunk !== "string") return write.call(process.stdout, chunk);
    out += chunk;
    return true;
  });
  try {
    const usual = { configPath: "", socket: null, json: false, options: {}, rest: [] };
    return { code: await command.run({ ...usual, ...invocation }), out };
  } finally {
    told.mock.restore();
  }
}
