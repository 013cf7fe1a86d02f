import { stripVTControlCharacters, styleText } from "node:util";

type Colour = "green" | "yellow" | "red" | "cyan" | "dim" | "bold";

/** Whether colours are wanted: on a terminal, unless NO_COLOR (https://no-color.org) says otherwise. */
export function isColourful(): boolean {
  return (
    process.stdout.isTTY === true && !process.env["NO_COLOR"] && process.env["TERM"] !== "dumb"
  );
}

/** The text in a colour where colours are wanted. */
export function paint(colour: Colour, text: string): string {
  return isColourful() ? styleText(colour, text, { validateStream: false }) : text;
}

/** One JSON value on a line of its own, or a screen. */
export function say(json: boolean, value: unknown, screen: () => string): void {
  process.stdout.write(json ? jsonLine(value) : harmless(screen()));
}

/** One JSON value on a line of its own, in which nothing is left that a terminal obeys. */
export function jsonLine(value: unknown): string {
  return `${JSON.stringify(value).replaceAll(OBEYED, escaped)}\n`;
}

/**
 * A name that a stranger gave, such as a topic or a client id, on one line: what a terminal obeys is shown as an escape.
 * @param lengthMax what is longer is cut
 */
export function visible(name: string, lengthMax = Infinity): string {
  const text = name.replaceAll(LINE_MADE_OF, escaped);
  return text.length > lengthMax ? `${text.slice(0, lengthMax - 1)}…` : text;
}

/** A screen as a terminal may have it: whoever sends messages must not move the cursor, clear it, or turn its text around. */
export function harmless(screen: string): string {
  const isOurs = (found: string) => isColourful() && OUR_COLOUR.test(found.slice(1));
  return screen.replaceAll(OBEYED_OR_COLOUR, (found) => (isOurs(found) ? found : escaped(found)));
}

/**
 * A screen for a terminal of so many columns: what is too long for a line goes on below, between words, where the text of its row
 * begins. Elsewhere as it is.
 * @param columns undefined or 0: no terminal
 * @param textColumn where rows begin their text
 */
export function fitted(
  screen: string,
  columns: number | undefined,
  textColumn: number = TEXT_COLUMN,
): string {
  if (!columns || columns <= 2 * textColumn) return screen;
  const lines = screen.split("\n").flatMap((line) => {
    const rows: string[] = [];
    let rest = line;
    while (widthOf(rest) > columns) {
      // A colour takes no room.
      const end = columns + rest.length - widthOf(rest);
      const space = rest.lastIndexOf(" ", end);
      const at = space > textColumn ? space : end;
      rows.push(rest.slice(0, at));
      rest = `${" ".repeat(textColumn)}${rest.slice(at).trimStart()}`;
    }
    return [...rows, rest];
  });
  return lines.join("\n");
}

function widthOf(line: string): number {
  return stripVTControlCharacters(line).length;
}

/** Where `row` begins its text. */
const TEXT_COLUMN = 23;
/** What `paint` writes, behind the escape character. */
const OUR_COLOUR = /^\[(?:[12]|22|3[12369])m$/;
/** Control characters but those of lines, C1 too, and the marks that change the direction of writing. */
const CONTROLS =
  "\\u0000-\\u0008\\u000b-\\u001f\\u007f-\\u009f\\u200e\\u200f\\u202a-\\u202e\\u2066-\\u2069";
const OBEYED = new RegExp(`[${CONTROLS}]`, "g");
const LINE_MADE_OF = new RegExp(`[\\t\\n${CONTROLS}\\u2028\\u2029]`, "g");
const OBEYED_OR_COLOUR = new RegExp(`\\u001b\\[\\d+m|[${CONTROLS}]`, "g");

/** Its first character: what follows in a sequence is harmless without it. */
function escaped(text: string): string {
  return `\\u${text.charCodeAt(0).toString(16).padStart(4, "0")}${text.slice(1)}`;
}
