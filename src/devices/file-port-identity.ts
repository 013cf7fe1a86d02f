import { basename } from "node:path";
import {
  type Adapter,
  adapterOf,
  isById,
  isGone,
  type SerialPlaces,
  ttyBehind,
  twinsOf,
} from "./file-adapters.ts";
import { shown } from "./file-port-names.ts";
import { portError } from "./port.ts";

/**
 * Which terminal a configured port is. udev's link below by-id leads to whatever came last of adapters that have one name, as those
 * without a serial number do: then the port is refused. Where a twin was seen beside the one that was open, only that one, where it was
 * plugged in, is taken again.
 */
export class PortIdentity {
  readonly #port: string;
  readonly #places: SerialPlaces;
  #open: Adapter | null = null;
  #hasTwin = false;

  constructor(port: string, places: SerialPlaces) {
    this.#port = port;
    this.#places = places;
  }

  /** The path to open. Rejects with ERR_DEVICE_AMBIGUOUS, or ERR_DEVICE_OPEN when the kernel has it no more. */
  async resolve(): Promise<string> {
    if (!isById(this.#port, this.#places)) return this.#port;
    const path = await ttyBehind(this.#port).catch(() => null);
    if (path === null) return this.#port;
    const adapter = await adapterOf(basename(path), this.#places);
    if (adapter === null) {
      if (await isGone(basename(path), this.#places)) throw portError("no-such-port", this.#port);
      return path;
    }
    const twins = await twinsOf(adapter, this.#places);
    if (twins.length > 0) {
      this.#hasTwin ||= this.#open !== null;
      throw portError("ambiguous", this.#port, new Error(named([adapter, ...twins])));
    }
    const before = this.#open;
    if (before !== null && this.#hasTwin && before.place !== adapter.place) {
      const what = `it was ${named([before])}; there is only its twin, ${named([adapter])}`;
      throw portError("ambiguous", this.#port, new Error(what));
    }
    this.#open = adapter;
    return path;
  }

  /** Asked once it is open: whether the name still leads there. Rejects with ERR_DEVICE_AMBIGUOUS, or ERR_DEVICE_OPEN when it does not. */
  async confirm(path: string): Promise<void> {
    if ((await this.resolve()) !== path) throw portError("unplugged", this.#port);
  }

  /** While it is open: looks whether a twin was plugged in. */
  async watch(): Promise<void> {
    if (this.#open === null || this.#hasTwin) return;
    this.#hasTwin = (await twinsOf(this.#open, this.#places)).length > 0;
  }
}

function named(adapters: readonly Adapter[]): string {
  return adapters.map(shown).join(" and ");
}
