import { stringify } from "yaml";

/** A plain value, such as a redacted configuration, as YAML text that parseConfig reads; ends with a line end. */
export function toYaml(value: unknown): string {
  return stringify(value, { lineWidth: 0 });
}
