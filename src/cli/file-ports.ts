import { readdir, readFile, realpath } from "node:fs/promises";
import { join } from "node:path";

/** A serial port of this machine. */
export interface PortSeen {
  readonly path: string;
  /** What stays the same of it when others are plugged in: by-id, or by-path; null: nothing. */
  readonly stable: string | null;
  /** Maker, product and number, as far as it tells. */
  readonly what: string;
}

export interface PortPlaces {
  /** Where the kernel lists terminals. */
  readonly terminals: string;
  readonly devices: string;
  /** Where udev links ports by what stays the same, the better first. */
  readonly links: readonly string[];
}

export const SYSTEM_PORT_PLACES: PortPlaces = {
  terminals: "/sys/class/tty",
  devices: "/dev",
  links: ["/dev/serial/by-id", "/dev/serial/by-path"],
};

/** The ports that have hardware behind them: no consoles, no pseudo terminals. */
export async function listPorts(places: PortPlaces): Promise<readonly PortSeen[]> {
  const names = await readdir(places.terminals).catch(() => []);
  const seen = await Promise.all(names.map((name) => portOf(name, places)));
  const ports = seen.filter((port) => port !== null);
  return ports.sort((a, b) => a.path.localeCompare(b.path, "en", { numeric: true }));
}

async function portOf(name: string, places: PortPlaces): Promise<PortSeen | null> {
  const folder = join(places.terminals, name);
  const device = await realpath(join(folder, "device")).catch(() => null);
  if (device === null) return null;
  // The 8250 driver lists lines without a chip behind them: type 0, PORT_UNKNOWN.
  if ((await wordIn(join(folder, "type"))) === "0") return null;
  const path = join(places.devices, name);
  return { path, stable: await linkTo(path, places.links), what: await descriptionOf(device) };
}

async function linkTo(path: string, folders: readonly string[]): Promise<string | null> {
  const target = await realpath(path).catch(() => path);
  for (const folder of folders) {
    for (const name of await readdir(folder).catch(() => [])) {
      const link = join(folder, name);
      if ((await realpath(link).catch(() => null)) === target) return link;
    }
  }
  return null;
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
