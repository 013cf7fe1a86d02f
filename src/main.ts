import { parseArgs } from "node:util";
import { FieldgateError } from "./base/errors.ts";
import type { Command } from "./cli/command.ts";

/** Every subcommand; its file is loaded only when it is asked for. */
const COMMANDS: Readonly<Record<string, () => Promise<{ readonly command: Command }>>> = {
  run: () => import("./cli/run.ts"),
  status: () => import("./cli/status.ts"),
  doctor: () => import("./cli/doctor.ts"),
  site: () => import("./cli/site.ts"),
  uplink: () => import("./cli/uplink.ts"),
  ledger: () => import("./cli/ledger.ts"),
  config: () => import("./cli/config.ts"),
};

const EXIT = { fine: 0, warning: 1, critical: 2, unknown: 3 } as const;
const CONFIG_PATH = "/etc/fieldgate/fieldgate.yaml";

/** The command line: `fieldgate COMMAND [ARGUMENTS] [--config FILE] [--socket PATH] [--json]`. */
async function main(argv: readonly string[]): Promise<number> {
  const { values, positionals } = parse(argv);
  const [name, ...rest] = positionals;
  if (values.version) {
    const { version } = await import("./cli/version.ts");
    process.stdout.write(`fieldgate ${version}\n`);
    return EXIT.fine;
  }
  if (name === undefined || (values.help && !Object.hasOwn(COMMANDS, name))) {
    const { helpText } = await import("./cli/help.ts");
    (values.help ? process.stdout : process.stderr).write(helpText());
    return values.help ? EXIT.fine : EXIT.critical;
  }
  const load = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (load === undefined) {
    throw new FieldgateError("ERR_USAGE", `there is no command ${name}; see fieldgate --help`);
  }
  const { command } = await load();
  if (values.help) {
    process.stdout.write(command.help);
    return EXIT.fine;
  }
  for (const option of ["only", "fix"] as const) {
    if (values[option] === undefined || command.options?.includes(option)) continue;
    throw new FieldgateError("ERR_USAGE", `${name} has no option --${option}`);
  }
  const configPath = values.config ?? CONFIG_PATH;
  return command.run({
    configPath,
    socket: values.socket ?? null,
    json: values.json ?? false,
    only: values.only ?? null,
    fix: values.fix ?? false,
    rest,
  });
}

function parse(argv: readonly string[]) {
  try {
    return parseArgs({
      args: [...argv],
      allowPositionals: true,
      options: {
        config: { type: "string", short: "c" },
        socket: { type: "string" },
        json: { type: "boolean" },
        only: { type: "string" },
        fix: { type: "boolean" },
        help: { type: "boolean", short: "h" },
        version: { type: "boolean" },
      },
    });
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new FieldgateError("ERR_USAGE", `${why}; see fieldgate --help`);
  }
}

main(process.argv.slice(2)).then(
  (code) => {
    process.exitCode = code;
  },
  async (error) => {
    const { explain } = await import("./cli/explain.ts");
    process.stderr.write(explain(error));
    process.exitCode = EXIT.critical;
  },
);
