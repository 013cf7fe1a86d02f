import { FieldgateError } from "../base/errors.ts";

/** Where the configuration lies when nothing else is said. */
export const CONFIG_PATH = "/etc/fieldgate/fieldgate.yaml";

/** What the command line says, options already read. */
export interface Invocation {
  readonly configPath: string;
  /** The control socket, when it was given. */
  readonly socket: string | null;
  readonly json: boolean;
  /** The command's own options that were given, by name without dashes. */
  readonly options: Readonly<Record<string, string | boolean | undefined>>;
  /** Words after the command's name. */
  readonly rest: readonly string[];
}

/** An option of one command, beyond those that every command has. */
export interface Option {
  readonly type: "string" | "boolean";
  /** One letter. */
  readonly short?: string;
}

export interface Command {
  /** Words that may come first behind its name: what shells complete. */
  readonly actions?: readonly string[];
  readonly options?: Readonly<Record<string, Option>>;
  readonly help: string;
  /** Resolves with the exit code: 0 fine, 1 warning, 2 critical, 3 unknown. */
  run(invocation: Invocation): Promise<number>;
}

/** A command as the first page of help shows it; its file is loaded only when it is asked for. */
export interface CatalogueEntry {
  /** What it is for; one line each where its actions differ. */
  readonly about: Readonly<Record<string, string>>;
  load(): Promise<{ readonly command: Command }>;
}

/** Commands by name. */
export type Catalogue = Readonly<Record<string, CatalogueEntry>>;

/** The value of an option, or null when it was not given. */
export function textOf({ options }: Invocation, name: string): string | null {
  const value = options[name];
  return typeof value === "string" ? value : null;
}

/** Whether an option without a value was given. */
export function isGiven({ options }: Invocation, name: string): boolean {
  return options[name] === true;
}

/**
 * The whole number of an option, or what stands for it when it was not given.
 * @throws FieldgateError ERR_USAGE when it is none, or out of bounds
 */
export function numberOf(
  invocation: Invocation,
  name: string,
  { usual, min, max }: { readonly usual: number; readonly min: number; readonly max: number },
): number {
  const text = textOf(invocation, name);
  if (text === null) return usual;
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= min && value <= max) return value;
  throw new FieldgateError("ERR_USAGE", `--${name} wants a whole number from ${min} to ${max}`);
}
