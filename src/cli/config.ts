import { FieldgateError } from "../base/errors.ts";
import { redact } from "../config/redact.ts";
import { loadConfig } from "../config/yaml-load.ts";
import { toYaml } from "../config/yaml-write.ts";
import type { Command, Invocation } from "./command.ts";
import { say } from "./terminal.ts";

export const command: Command = {
  actions: ["check", "show"],
  help: `fieldgate config check [--config FILE]   say every mistake of a configuration, with its line
fieldgate config show [--config FILE]    show it with all defaults, without secrets

Examples:
  fieldgate config check --config ./new.yaml
  fieldgate config show --json | jq .uplink

Exit codes: 0 the configuration is valid, 2 it is not
`,

  async run({ configPath, json, rest }: Invocation) {
    const [action = "check"] = rest;
    if (action !== "check" && action !== "show") {
      throw new FieldgateError("ERR_USAGE", `config knows check and show, not ${action}`);
    }
    const config = await loadConfig(configPath);
    if (action === "show") {
      const shown = redact(config);
      say(json, shown, () => toYaml(shown));
    } else {
      say(json, { valid: true }, () => `${configPath} is valid\n`);
    }
    return 0;
  },
};
