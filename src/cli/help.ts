import { CATALOGUE } from "./catalogue.ts";

/** The first page of help. */
export function helpText(): string {
  const about = Object.values(CATALOGUE).flatMap((entry) => Object.entries(entry.about));
  const commands = about.map(([name, text]) => `  ${name.padEnd(16)} ${text}`);
  return `fieldgate: MQTT broker for gateways at the edge

Usage: fieldgate COMMAND [ARGUMENTS] [OPTIONS]

Commands:
${commands.join("\n")}

Options:
  -c, --config FILE   configuration (default /etc/fieldgate/fieldgate.yaml)
      --socket PATH   control socket of the gateway to ask (default: that of the configuration)
      --json          machine-readable output
  -h, --help          help with examples, also of a command: fieldgate status --help
      --version       version

Exit codes: 0 fine, 1 warning, 2 critical, 3 unknown
`;
}
