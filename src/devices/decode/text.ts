const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Control characters other than tab, carriage return and line feed: noise on the line, never text. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const CONTROL = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f]/;

/** The frame as text; null when it is not UTF-8 or holds control characters. */
export function textOf(frame: Uint8Array): string | null {
  try {
    const text = utf8.decode(frame);
    return CONTROL.test(text) ? null : text;
  } catch {
    return null;
  }
}

const DECIMAL = /^[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d{1,3})?$/;
/** A number that begins so is a serial number or a telephone number: it would lose its zeros. */
const LEADING_ZERO = /^[+-]?0\d+$/;
const DIGITS_MAX = 15;

/** A cell of a text format: null when empty, a number where nothing is lost by it, else the text itself. */
export function cellValue(cell: string): string | number | null {
  const text = cell.trim();
  if (text === "") return null;
  if (!DECIMAL.test(text) || LEADING_ZERO.test(text)) return text;
  const digits = text.replace(/[eE].*$/, "").replace(/\D/g, "");
  if (digits.length > DIGITS_MAX) return text;
  const number = Number(text);
  return Number.isFinite(number) ? number : text;
}
