import { readdir, realpath } from "node:fs/promises";
import { basename, join } from "node:path";
import {
  type Adapter,
  adapterOf,
  isById,
  type SerialPlaces,
  ttyBehind,
  twinsOf,
} from "./file-adapters.ts";

/** One of several adapters that answer to one name. */
export interface Namesake {
  /** `ttyUSB0 at 1-1.2:1.0` */
  readonly what: string;
  /** A name that only it has: below by-path; null: none. */
  readonly stable: string | null;
}

/** What stays the same of a terminal: its name below by-id unless others have it, too, else below by-path; null: nothing. */
export async function stableName(path: string, places: SerialPlaces): Promise<string | null> {
  const adapter = await adapterOf(basename(path), places);
  const isOne = adapter === null || (await twinsOf(adapter, places)).length === 0;
  const byId = isOne ? await linkTo(path, join(places.dev, "serial/by-id")) : null;
  return byId ?? (await linkTo(path, byPath(places)));
}

/** The adapters that answer to a name below by-id, when there are several; else none. */
export async function namesakesOf(
  port: string,
  places: SerialPlaces,
): Promise<readonly Namesake[]> {
  if (!isById(port, places)) return [];
  const tty = await ttyBehind(port).catch(() => null);
  const adapter = tty === null ? null : await adapterOf(basename(tty), places);
  const twins = adapter === null ? [] : await twinsOf(adapter, places);
  if (adapter === null || twins.length === 0) return [];
  const named = [adapter, ...twins].map(async (each) => ({
    what: shown(each),
    stable: await linkTo(join(places.dev, each.tty), byPath(places)),
  }));
  return await Promise.all(named);
}

/** `ttyUSB0 at 1-1.2:1.0` */
export function shown({ tty, place }: Adapter): string {
  return `${tty} at ${place}`;
}

function byPath({ dev }: SerialPlaces): string {
  return join(dev, "serial/by-path");
}

async function linkTo(path: string, folder: string): Promise<string | null> {
  const target = await realpath(path).catch(() => path);
  for (const name of (await readdir(folder).catch(() => [])).sort()) {
    const link = join(folder, name);
    if ((await realpath(link).catch(() => null)) === target) return link;
  }
  return null;
}
