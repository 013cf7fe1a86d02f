import type { Config } from "../../src/config/schema.ts";
import { parseConfig } from "../../src/config/yaml-load.ts";

/** A whole configuration: what is given, and defaults for the rest. */
export function configOf(given: object): Config {
  return parseConfig(JSON.stringify(given), "test.yaml");
}
