import { FieldgateError } from "../base/errors.ts";
import { redact } from "../config/redact.ts";
import { loadConfig } from "../config/yaml-load.ts";
import { toYaml } from "../config/yaml-write.ts";
import type { Command, Invocation } from "./command.ts";
import { say } from "./terminal.ts";

export const command: Command = {
  actions: ["check", "show", "diff", "apply", "confirm", "revert"],
  options: { confirm: { type: "string" } },
  help: `fieldgate config check [--config FILE]       say every mistake of a configuration, with its line
fieldgate config show [--config FILE]        show it with all defaults, without secrets
fieldgate config diff NEW [--socket PATH]    what NEW would change in the running gateway
fieldgate config apply NEW --confirm TIME    run with NEW, and go back by itself unless it is confirmed in time
fieldgate config confirm [--config FILE]     keep what is being tried: writes FILE, the one before stays as FILE.before
fieldgate config revert                      go back at once

apply restarts the gateway within its process. Until somebody confirms, the file stays as it was: if the new configuration
cuts the uplink or your own way in, does not start, or the power fails, the gateway comes back with the old one. Nobody is
needed for that, and no connection.

  --confirm TIME   how long it is tried: 30s, 5m, 1h

Examples:
  fieldgate config check --config ./new.yaml
  fieldgate config show --json | jq .uplink
  fieldgate config apply ./new.yaml --confirm 5m && fieldgate status && fieldgate config confirm

Exit codes: 0 valid, the same, or done, 1 something differs, 2 not valid, refused, or gone back, 3 no gateway answers
`,

  async run(invocation) {
    const [action = "check", file, ...more] = invocation.rest;
    if (more.length > 0) throw new FieldgateError("ERR_USAGE", `config ${action} wants one file`);
    if (action === "check" || action === "show") return look(invocation, action);
    const { apply, confirm, diff, revert } = await import("./config-trial.ts");
    if (action === "confirm") return confirm(invocation);
    if (action === "revert") return revert(invocation);
    if (action !== "diff" && action !== "apply") {
      const known = "check, show, diff, apply, confirm and revert";
      throw new FieldgateError("ERR_USAGE", `config knows ${known}, not ${action}`);
    }
    if (file === undefined) {
      throw new FieldgateError("ERR_USAGE", `config ${action} wants the new file`);
    }
    return (action === "diff" ? diff : apply)(invocation, file);
  },
};

async function look({ configPath, json }: Invocation, action: "check" | "show"): Promise<number> {
  const config = await loadConfig(configPath);
  if (action === "check") say(json, { valid: true }, () => `${configPath} is valid\n`);
  else say(json, redact(config), () => toYaml(redact(config)));
  return 0;
}
