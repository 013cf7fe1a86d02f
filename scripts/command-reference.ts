import type { Catalogue } from "../src/cli/command.ts";
import { helpText } from "../src/cli/help.ts";

/** docs/commands.md: what each command says of itself, in the order of the help. */
export async function commandReference(catalogue: Catalogue): Promise<string> {
  const sections = Object.entries(catalogue).map(async ([name, { load }]) => {
    const { help } = (await load()).command;
    return `## ${name}\n\n${indented(help)}\n`;
  });
  return `# Commands

Generated from the commands themselves by \`npm run docs\`: the text of \`fieldgate --help\`, and of each command's own \`--help\`.

${indented(helpText())}

${(await Promise.all(sections)).join("\n")}`;
}

function indented(text: string): string {
  return text
    .trimEnd()
    .split("\n")
    .map((line) => `    ${line}`.trimEnd())
    .join("\n");
}
