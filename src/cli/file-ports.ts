import { readdir, readFile, realpath } from "node:fs/promises";
import { join } from "node:path";
import { adapterOf, type SerialPlaces, twinsOf } from "../devices/file-adapters.ts";
import { stableName } from "../devices/file-port-names.ts";

/** A serial port of this machine. */
export interface PortSeen {
  readonly path: string;
  /** What stays the same of it when others are plugged in: by-id, or by-path; null: nothing. */
  readonly stable: string | null;
  /** Terminals of other adapters that have the same name below by-id. */
  readonly twins: readonly string[];
  /** Maker, product and number, as far as it tells. */
  readonly what: string;
}

/** The ports that have hardware behind them: no consoles, no pseudo terminals. */
export async function listPorts(places: SerialPlaces): Promise<readonly PortSeen[]> {
  const names = await readdir(join(places.sys, "class/tty")).catch(() => []);
  const seen = await Promise.all(names.map((name) => portOf(name, places)));
  const ports = seen.filter((port) => port !== null);
  return ports.sort((a, b) => a.path.localeCompare(b.path, "en", { numeric: true }));
}

async function portOf(name: string, places: SerialPlaces): Promise<PortSeen | null> {
  const folder = join(places.sys, "class/tty", name);
  const device = await realpath(join(folder, "device")).catch(() => null);
  if (device === null) return null;
  // The 8250 driver lists lines without a chip behind them: type 0, PORT_UNKNOWN.
  if ((await wordIn(join(folder, "type"))) === "0") return null;
  const path = join(places.dev, name);
  const adapter = await adapterOf(name, places);
  const twins = adapter === null ? [] : await twinsOf(adapter, places);
  return {
    path,
    stable: await stableName(path, places),
    twins: twins.map(({ tty }) => tty),
    what: await descriptionOf(device),
  };
}

/** A USB adapter's strings lie in one of the folders above its interface. */
async function descriptionOf(device: string): Promise<string> {
  for (let at = device, i = 0; i < 4; at = join(at, ".."), i++) {
    const words = await Promise.all(
      ["manufacturer", "product", "serial"].map((name) => wordIn(join(at, name))),
    );
    if (words[1] !== "") return words.filter((word) => word !== "").join(" ");
  }
  return "";
}

async function wordIn(path: string): Promise<string> {
  return (await readFile(path, "utf8").catch(() => "")).trim();
}
