import * as Type from "typebox";

/**
 * The kinds of value that the configuration knows. A kind is a piece of JSON Schema with annotations of ours:
 * `unit` (ms, s, bytes, baud; "bytes" also allows text such as 64KiB) and `expects` (a pattern in words, for mistakes).
 * The walker in validate.ts understands what is built here and nothing more; a test holds the schema to that.
 */
interface Told<V> {
  readonly description: string;
  readonly default?: V;
  readonly examples?: V[];
}

/** An object whose unknown keys are mistakes. */
export function section<P extends Type.TProperties>(
  properties: P,
  options: { readonly description?: string; readonly default?: Record<string, never> } = {},
) {
  return Type.Object(properties, { additionalProperties: false, ...options });
}

/** One of several words. */
export function choice<const V extends readonly [string, ...string[]]>(
  values: V,
  options: Told<V[number]>,
) {
  return Type.Unsafe<V[number]>({ type: "string", enum: [...values], ...options });
}

/** One of several numbers. */
export function oneOf<const V extends readonly [number, ...number[]]>(
  values: V,
  options: Told<V[number]> & { readonly unit?: string },
) {
  const anyOf = values.map((value) => ({ type: "number", const: value }));
  return Type.Unsafe<V[number]>({ anyOf, ...options });
}

/** A whole number of `unit`, or of whatever the description counts. */
export function whole(
  options: Told<number> & {
    readonly minimum: number;
    readonly maximum?: number;
    readonly unit?: string;
  },
) {
  return Type.Integer({ ...options });
}

/** Any number, with or without decimals. */
export function number(
  options: Told<number> & { readonly minimum?: number; readonly maximum?: number },
) {
  return Type.Number({ ...options });
}

/** A number of bytes. In the file also as text with a unit: 64KiB, 8MiB, 2GiB, 500kB. */
export function bytes(
  options: Told<number> & { readonly minimum: number; readonly maximum?: number },
) {
  return Type.Integer({ ...options, unit: "bytes" });
}

/** True or false. */
export function flag(options: Told<boolean>) {
  return Type.Boolean({ ...options });
}

/** Text that is not empty; with `pattern`, `expects` says the pattern in words. */
export function text(
  options: Told<string> & { readonly pattern?: string; readonly expects?: string },
) {
  return Type.String({ minLength: 1, ...options });
}

/** A name: what can stand in a topic level, a file name, a client id and a key of etcd. */
export function name(options: Told<string>) {
  return text({
    ...options,
    pattern: "^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$",
    expects:
      "letters, digits, dots, dashes or underscores, beginning with a letter or digit, at most 63",
  });
}
