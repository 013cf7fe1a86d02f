import { type Decoded, readings, refused } from "./reading.ts";
import { cellValue, textOf } from "./text.ts";

/** One record of RFC 4180: its cells in the order of `columns`, no more and no fewer. A quoted cell stays text. */
export function decodeCsv(frame: Uint8Array, columns: readonly string[]): Decoded {
  const text = textOf(frame);
  if (text === null) return refused("not-text");
  const cells = cellsOf(text);
  if (cells === null || cells.length !== columns.length) return refused("wrong-columns");
  return readings(columns.map((field, i) => ({ field, value: cells[i] ?? null })));
}

const CELL = /(?:"((?:[^"]|"")*)"|([^",]*))(,|$)/y;

function cellsOf(text: string): (string | number | null)[] | null {
  const cells: (string | number | null)[] = [];
  CELL.lastIndex = 0;
  for (;;) {
    const match = CELL.exec(text);
    if (match === null) return null;
    const [, quoted, plain = "", separator] = match;
    cells.push(quoted === undefined ? cellValue(plain) : quoted.replaceAll('""', '"'));
    if (separator === "") return cells;
  }
}
