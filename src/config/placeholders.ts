import { topicNameError } from "../mqtt/topic.ts";
import { either } from "./expectation.ts";
import { type Finding, quoted } from "./mistake.ts";
import { nearest } from "./nearest.ts";

/** What is wrong with the template of a topic at `path`: placeholders that are not `known`, and what no topic may have. */
export function* checkTemplate(
  template: string,
  known: readonly string[],
  path: string,
): Generator<Finding> {
  for (const inner of placeholdersIn(template)) {
    if (known.includes(inner)) continue;
    const likely = nearest(inner, known);
    const hint = likely === null ? `known here: ${braced(known)}` : `did you mean {${likely}}?`;
    const message = `has an unknown placeholder ${quoted(`{${inner}}`)}, ${hint}`;
    yield { path, code: "topic", message };
  }
  const plain = template.replaceAll(placeholder, "x");
  if (/[{}]/.test(plain)) {
    yield { path, code: "topic", message: "has a brace without its partner" };
  }
  const message = topicNameError(plain);
  if (message !== null) yield { path, code: "topic", message };
}

/** The placeholders that stand in `template`, without braces. */
export function placeholdersIn(template: string): string[] {
  return [...template.matchAll(placeholder)].map(([, inner = ""]) => inner);
}

/** `template` with what is known filled in; other placeholders stay. */
export function filledIn(template: string, known: Readonly<Record<string, string>>): string {
  return template.replaceAll(placeholder, (whole, name: string) =>
    Object.hasOwn(known, name) ? (known[name] ?? whole) : whole,
  );
}

const placeholder = /\{([^{}]*)\}/g;

function braced(names: readonly string[]): string {
  return either(
    names.map((name) => `{${name}}`),
    "and",
  );
}
