/** A line of a screen: what it is about, and what is told of it. */
export function row(name: string, text: string): string {
  return `  ${name.padEnd(20)} ${text}`;
}

/** "12,345". */
export function count(value: number): string {
  return value.toLocaleString("en-US");
}

/** In KiB, MiB or GiB. */
export function size(bytes: number): string {
  if (bytes >= 2 ** 30) return `${(bytes / 2 ** 30).toFixed(1)} GiB`;
  return bytes < 2 ** 20
    ? `${Math.round(bytes / 1024)} KiB`
    : `${(bytes / 2 ** 20).toFixed(1)} MiB`;
}
