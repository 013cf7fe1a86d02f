import { readdir, readFile, readlink, realpath } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";

/** Where the kernel and udev tell of serial ports. */
export interface SerialPlaces {
  readonly dev: string;
  readonly sys: string;
}

export const SYSTEM_SERIAL_PLACES: SerialPlaces = { dev: "/dev", sys: "/sys" };

/** A USB adapter with a serial port, as the kernel knows it. */
export interface Adapter {
  /** `ttyUSB0`: in the order of plugging in. */
  readonly tty: string;
  /** Where it is plugged in: `1-1.2:1.0`. */
  readonly place: string;
  /** All that udev makes its name below by-id of. Two with one label have one name. */
  readonly label: string;
}

/** Files beside `idVendor` that tell one make from another, and one adapter of a make from another. */
const LABEL_FILES = ["idVendor", "idProduct", "manufacturer", "product", "serial"];
/** From a port up to its USB device: the port, its interface, the device. */
const LEVELS_MAX = 4;

/** True for a port that is named by what it is, and not by where it is or when it came. */
export function isById(port: string, { dev }: SerialPlaces): boolean {
  return dirname(port) === join(dev, "serial/by-id");
}

/** The terminal that udev's link leads to now. Rejects with ENOENT when there is no such link. */
export async function ttyBehind(link: string): Promise<string> {
  return resolve(dirname(link), await readlink(link));
}

/** Null for what is no USB adapter: a UART of the board, a pseudo-terminal. */
export async function adapterOf(tty: string, { sys }: SerialPlaces): Promise<Adapter | null> {
  const device = await realpath(join(sys, "class/tty", tty, "device")).catch(() => null);
  if (device === null) return null;
  let place = "";
  let at = device;
  const parts: string[] = [];
  for (let level = 0; level < LEVELS_MAX; level++, at = dirname(at)) {
    const vendor = await textIn(at, "idVendor");
    if (vendor !== "") {
      for (const file of LABEL_FILES) parts.push(await textIn(at, file));
      return { tty, place, label: JSON.stringify(parts) };
    }
    // Adapters with several ports: which of them.
    for (const file of ["bInterfaceNumber", "port_number"]) {
      const which = await textIn(at, file);
      if (which !== "") parts.push(`${file}=${which}`);
    }
    if (basename(at) !== tty) place = basename(at);
  }
  return null;
}

/** True when the kernel lists terminals, and this one no more: udev's link to it has not gone yet. */
export async function isGone(tty: string, { sys }: SerialPlaces): Promise<boolean> {
  const names: readonly string[] = await readdir(join(sys, "class/tty")).catch(() => []);
  return names.length > 0 && !names.includes(tty);
}

/** Other adapters that have the same name below by-id: its link leads to one of them, and nobody knows to which. */
export async function twinsOf(adapter: Adapter, places: SerialPlaces): Promise<Adapter[]> {
  const names = await readdir(join(places.sys, "class/tty")).catch(() => []);
  const others = names.filter((name) => /^tty[A-Z]/.test(name) && name !== adapter.tty);
  const adapters = await Promise.all(others.map((name) => adapterOf(name, places)));
  return adapters.filter((each) => each !== null && each.label === adapter.label) as Adapter[];
}

/** The paths that a pattern with `*` in its last part matches, in order. */
export async function pathsLike(pattern: string): Promise<string[]> {
  const folder = dirname(pattern);
  const words = basename(pattern)
    .split("*")
    .map((word) => word.replaceAll(/[^\w]/g, "\\$&"));
  const like = new RegExp(`^${words.join(".*")}$`);
  const names = await readdir(folder).catch(() => []);
  return names
    .filter((name) => like.test(name))
    .sort()
    .map((name) => join(folder, name));
}

async function textIn(folder: string, file: string): Promise<string> {
  return (await readFile(join(folder, file), "utf8").catch(() => "")).trim();
}
