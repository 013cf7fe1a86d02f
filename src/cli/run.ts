import type { Command } from "./command.ts";

export const command: Command = {
  help: `fieldgate run [--config FILE]   run the gateway in the foreground

Log lines go to standard error, one JSON object each. SIGTERM or SIGINT ends it: what was accepted is written, messages
in flight to the cloud are waited for, then it exits with 0. A second signal ends it at once. SIGHUP of a terminal does the
same; from elsewhere it changes nothing: users, keys and certificates are read when they change.

Examples:
  fieldgate run --config ./fieldgate.yaml

Exit codes: 0 ended by a signal, 2 it could not start
`,

  async run({ configPath }) {
    // Apart from what the other commands are made of: it is a script of its own (scripts/bundle-run.mjs).
    const { runGateway } = await import("./run-gateway.ts");
    await runGateway(configPath);
    return 0;
  },
};
