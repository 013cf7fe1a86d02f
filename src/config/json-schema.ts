import { assertNever } from "../base/errors.ts";
import { BYTE_SIZE_PATTERN, formatByteSize } from "./byte-size.ts";
import { range } from "./expectation.ts";
import { isLeftOut, kindOf, type Shape } from "./shape.ts";

type Json = Record<string, unknown>;

/**
 * The schema as JSON Schema (draft 7) for editors that know it through yaml-language-server. It is as strict as the
 * loader about single values; what two keys say to each other only the loader checks. Annotations of ours become words.
 */
export function jsonSchema(shape: Shape): Json {
  return {
    $schema: "http://json-schema.org/draft-07/schema#",
    title: "Configuration of fieldgate",
    ...translated(shape),
  };
}

function translated(shape: Shape): Json {
  const { examples } = shape;
  return {
    ...described(shape),
    ...constraints(shape),
    ...defaulted(shape),
    ...(examples && { examples }),
  };
}

function described(shape: Shape): Json {
  if (shape.description === undefined) return {};
  const unit = shape.unit === undefined ? "" : ` In ${shape.unit}.`;
  return { description: shape.description + unit };
}

function defaulted(shape: Shape): Json {
  if (shape.default === undefined || kindOf(shape).is === "section") return {};
  return {
    default: shape.unit === "bytes" ? formatByteSize(Number(shape.default)) : shape.default,
  };
}

function constraints(shape: Shape): Json {
  const kind = kindOf(shape);
  const { minimum, maximum, minItems, maxItems, minLength, pattern, expects } = shape;
  switch (kind.is) {
    case "section":
      return sectionConstraints(shape, kind.keys);
    case "record":
      return {
        type: "object",
        additionalProperties: translated(kind.values),
        propertyNames: { minLength: 1, not: { const: "__proto__" } },
      };
    case "list":
      return defined({ type: "array", items: translated(kind.items), minItems, maxItems });
    case "choice":
      return { enum: kind.words };
    case "numbers":
      return { enum: kind.numbers };
    case "bytes":
      return {
        anyOf: [
          defined({ type: "integer", minimum, maximum }),
          { type: "string", pattern: BYTE_SIZE_PATTERN, description: `A size${range(shape)}.` },
        ],
      };
    case "whole":
      return defined({ type: "integer", minimum, maximum });
    case "number":
      return defined({ type: "number", minimum, maximum });
    case "flag":
      return { type: "boolean" };
    case "text":
      return defined({ type: "string", minLength, pattern, patternErrorMessage: expects });
    default:
      return assertNever(kind);
  }
}

function sectionConstraints(shape: Shape, keys: Readonly<Record<string, Shape>>): Json {
  const required = Object.keys(keys).filter((key) => !isLeftOut(shape, key));
  const properties = Object.entries(keys).map(([key, inner]) => {
    const json = translated(inner);
    return [key, required.includes(key) ? json : orNothing(json, inner)];
  });
  return {
    type: "object",
    additionalProperties: false,
    ...(required.length > 0 && { required }),
    properties: Object.fromEntries(properties),
  };
}

/** A section, list or map that may be left out may also be there with nothing in it. */
function orNothing(json: Json, shape: Shape): Json {
  const kind = kindOf(shape);
  const isFine = kind.is === "section" ? json["required"] === undefined : true;
  if (!isFine || (json["type"] !== "object" && json["type"] !== "array")) return json;
  return { ...json, type: [json["type"], "null"] };
}

/** Without the keys that say nothing, which JSON would lose anyway and comparisons would not. */
function defined(json: Json): Json {
  return Object.fromEntries(Object.entries(json).filter(([, value]) => value !== undefined));
}
