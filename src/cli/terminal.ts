import { styleText } from "node:util";

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
  process.stdout.write(json ? `${JSON.stringify(value)}\n` : screen());
}
