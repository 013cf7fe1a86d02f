/** Where the command line tool finds a gateway that is not told otherwise. */
export const CONTROL_SOCKET = "/run/fieldgate/control.sock";

/**
 * The control socket in the text of a configuration, without reading the rest of it: so that asking a gateway costs no more than
 * asking it, and works although the file has a mistake elsewhere. Null: it is not written in a way that is understood here, and
 * the whole file is to be read.
 */
export function controlSocketIn(text: string): string | null {
  if (!text.includes("control")) return CONTROL_SOCKET;
  return BLOCK.exec(text)?.[2] ?? FLOW.exec(text)?.[2] ?? null;
}

/** A key at the beginning of a line is one of the whole document; what it holds is indented, or in braces behind it. */
const BLOCK =
  /^control:[ \t]*\r?\n(?:[ \t]*(?:#.*)?\r?\n)*[ \t]+socket:[ \t]*(["']?)([^\s"'#{}[\],&*!|>%@`]+)\1[ \t]*(?:#.*)?$/m;
const FLOW =
  /^control:[ \t]*\{[ \t]*"?socket"?:[ \t]*(["']?)([^\s"'#{}[\],&*!|>%@`\\]+)\1[ \t]*[,}]/m;
