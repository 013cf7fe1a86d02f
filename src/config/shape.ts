/**
 * The schema as the walker, the defaults and the documents see it: the part of JSON Schema that schema-kinds.ts builds.
 * `kindOf` is the one place that tells the kinds apart.
 */
export interface Shape {
  readonly type?: string;
  readonly properties?: Readonly<Record<string, Shape>>;
  readonly required?: readonly string[];
  readonly patternProperties?: Readonly<Record<string, Shape>>;
  readonly items?: Shape;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly enum?: readonly string[];
  readonly anyOf?: readonly { readonly const?: number }[];
  readonly pattern?: string;
  readonly minLength?: number;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly default?: unknown;
  readonly description?: string;
  readonly examples?: readonly unknown[];
  readonly unit?: string;
  readonly expects?: string;
}

export type Kind =
  | { readonly is: "section"; readonly keys: Readonly<Record<string, Shape>> }
  | { readonly is: "record"; readonly values: Shape }
  | { readonly is: "list"; readonly items: Shape }
  | { readonly is: "choice"; readonly words: readonly string[] }
  | { readonly is: "numbers"; readonly numbers: readonly number[] }
  | { readonly is: "bytes" }
  | { readonly is: "whole" }
  | { readonly is: "number" }
  | { readonly is: "flag" }
  | { readonly is: "text" };

/** Which kind of value `shape` describes. Throws a plain Error for a shape that the schema may not contain. */
export function kindOf(shape: Shape): Kind {
  if (shape.anyOf) {
    return { is: "numbers", numbers: shape.anyOf.map((one) => one.const ?? Number.NaN) };
  }
  switch (shape.type) {
    case "object": {
      if (shape.properties) return { is: "section", keys: shape.properties };
      const values = Object.values(shape.patternProperties ?? {})[0];
      if (values) return { is: "record", values };
      break;
    }
    case "array":
      if (shape.items) return { is: "list", items: shape.items };
      break;
    case "string":
      return shape.enum ? { is: "choice", words: shape.enum } : { is: "text" };
    case "integer":
      return { is: shape.unit === "bytes" ? "bytes" : "whole" };
    case "number":
      return { is: "number" };
    case "boolean":
      return { is: "flag" };
    default:
  }
  throw new Error(`no kind of value is declared like this: ${JSON.stringify(shape)}`);
}

/** Whether a file may do without `key` of the section: it is optional or has a default. */
export function isLeftOut(section: Shape, key: string): boolean {
  return !section.required?.includes(key) || section.properties?.[key]?.default !== undefined;
}
