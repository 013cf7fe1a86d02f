import { parseArgs } from "node:util";
import { FieldgateError } from "./base/errors.ts";
import { CATALOGUE } from "./cli/catalogue.ts";
import { CONFIG_PATH, type Command, type Option } from "./cli/command.ts";

const EXIT = { fine: 0, critical: 2, unknown: 3 } as const;

/** Options of every command. */
const OPTIONS = {
  config: { type: "string", short: "c" },
  socket: { type: "string" },
  json: { type: "boolean" },
  help: { type: "boolean", short: "h" },
  version: { type: "boolean" },
} as const satisfies Readonly<Record<string, Option>>;

/** The command line: `fieldgate COMMAND [ARGUMENTS] [--config FILE] [--socket PATH] [--json]`. */
async function main(argv: readonly string[]): Promise<number> {
  const { name } = glance(argv);
  const entry = name !== undefined && Object.hasOwn(CATALOGUE, name) ? CATALOGUE[name] : undefined;
  if (entry === undefined) return withoutCommand(argv, name);
  const { command } = await entry.load();
  const { values, positionals } = await parse(argv, command.options ?? {}, `${name} `);
  if (values.help) {
    process.stdout.write(command.help);
    return EXIT.fine;
  }
  const { config, socket, json, help: _, version: __, ...options } = values;
  return command.run({
    configPath: config ?? CONFIG_PATH,
    socket: socket ?? null,
    json: json ?? false,
    options,
    rest: positionals.slice(1),
  });
}

/** The first word that is no option: what the options of a command are is known only once it is. And whether a program asks. */
function glance(argv: readonly string[]): { readonly name: string | undefined; json: boolean } {
  const options = { args: [...argv], allowPositionals: true, strict: false, options: OPTIONS };
  const { positionals, values } = parseArgs(options);
  return { name: positionals[0], json: values["json"] === true };
}

async function withoutCommand(argv: readonly string[], name: string | undefined): Promise<number> {
  const { values } = await parse(argv, {}, "");
  if (values.version) {
    const { version } = await import("./cli/version.ts");
    process.stdout.write(values.json ? `{"version":"${version}"}\n` : `fieldgate ${version}\n`);
    return EXIT.fine;
  }
  if (name !== undefined && !values.help) {
    throw new FieldgateError("ERR_USAGE", `there is no command ${name}; see fieldgate --help`);
  }
  const { helpText } = await import("./cli/help.ts");
  (values.help ? process.stdout : process.stderr).write(helpText());
  return values.help ? EXIT.fine : EXIT.critical;
}

/** @throws FieldgateError ERR_USAGE: what is wrong in words for who typed it, and whose help to look at */
async function parse(
  argv: readonly string[],
  own: NonNullable<Command["options"]>,
  command: string,
) {
  const options = { ...own, ...OPTIONS };
  try {
    return parseArgs({ args: [...argv], allowPositionals: true, options });
  } catch (error) {
    const { wrongOption } = await import("./cli/wrong-option.ts");
    const why = wrongOption(error, Object.keys(options));
    throw new FieldgateError("ERR_USAGE", `${why}; see fieldgate ${command}--help`);
  }
}

/** Who reads no further, as in `fieldgate tail | head -3`, wants no more of it: that is no fault. */
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code === "EPIPE") process.exit();
  process.exitCode = EXIT.critical;
  process.stderr.write(`fieldgate: ${error.message}\n`);
});
/** There is nobody left to tell. Who reads the gateway's log may end; the gateway does not for that. */
process.stderr.on("error", () => {});

const argv = process.argv.slice(2);
main(argv).then(
  (code) => {
    process.exitCode = code;
  },
  async (error) => {
    const { exitCodeOf, explain, explainJson } = await import("./cli/explain.ts");
    const { name, json } = glance(argv);
    const exit = exitCodeOf(error, name);
    if (json) process.stdout.write(explainJson(error, exit));
    else process.stderr.write(explain(error));
    process.exitCode = exit;
  },
);
