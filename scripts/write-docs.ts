import { readFile, writeFile } from "node:fs/promises";
import { CATALOGUE } from "../src/cli/catalogue.ts";
import { jsonSchema } from "../src/config/json-schema.ts";
import { configShape } from "../src/config/schema.ts";
import { commandReference } from "./command-reference.ts";
import { configExample } from "./config-example.ts";
import { configReference } from "./config-reference.ts";
import { jsonText } from "./json-text.ts";
import { templateUnit } from "./template-unit.ts";

/**
 * Writes what is generated: from the schema of the configuration docs/config.md, deploy/fieldgate.schema.json and
 * deploy/fieldgate.example.yaml; from the commands docs/commands.md; from the unit its template. With --check it writes nothing and exits with 1 when one of
 * them is not as it would be.
 */
const unit = await readFile(new URL("../systemd/fieldgate.service", import.meta.url), "utf8");
const generated: Readonly<Record<string, string>> = {
  "docs/commands.md": await commandReference(CATALOGUE),
  "docs/config.md": configReference(configShape),
  "deploy/fieldgate.schema.json": jsonText(jsonSchema(configShape)),
  "deploy/fieldgate.example.yaml": configExample(configShape),
  "systemd/fieldgate@.service": templateUnit(unit),
};

const onlyCheck = process.argv.includes("--check");
for (const [path, text] of Object.entries(generated)) {
  const file = new URL(`../${path}`, import.meta.url);
  const before = await readFile(file, "utf8").catch(() => null);
  if (before === text) continue;
  if (onlyCheck) {
    console.error(`${path} is stale: run npm run docs`);
    process.exitCode = 1;
  } else {
    await writeFile(file, text);
    console.log(`${path} written`);
  }
}
