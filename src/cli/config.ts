import { FieldgateError } from "../base/errors.ts";
import { redact } from "../config/redact.ts";
import { loadConfig } from "../config/yaml-load.ts";
import { toYaml } from "../config/yaml-write.ts";
import type { Command, Invocation } from "./command.ts";

export const command: Command = {
  help: `fieldgate config check [--config FILE]   say every mistake of a configuration, with its line
fieldgate config show [--config FILE]    show it with all defaults, without secrets

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
      process.stdout.write(json ? `${JSON.stringify(shown)}\n` : toYaml(shown));
    } else {
      process.stdout.write(json ? `{"valid":true}\n` : `${configPath} is valid\n`);
    }
    return 0;
  },
};
