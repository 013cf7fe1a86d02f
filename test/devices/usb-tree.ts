import { mkdir, rm, symlink, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { SerialPlaces } from "../../src/devices/file-adapters.ts";

export interface Plugged {
  readonly tty: string;
  /** Place on the bus: `1-1.2`. */
  readonly place: string;
  readonly product?: string;
  readonly serial?: string;
  /** Of an adapter with several ports. */
  readonly port?: number;
  /** What the terminal really is; default: nothing is behind it. */
  readonly behind?: string;
}

/** /dev and /sys below a directory, as the kernel and udev make them for USB adapters. */
export class UsbTree {
  readonly places: SerialPlaces;

  constructor(directory: string) {
    this.places = { dev: join(directory, "dev"), sys: join(directory, "sys") };
  }

  byId({ product = "USB_Serial", serial, port = 0 }: Omit<Plugged, "tty" | "place">): string {
    const whole = serial === undefined ? product : `${product}_${serial}`;
    return join(this.places.dev, "serial/by-id", `usb-1a86_${whole}-if00-port${port}`);
  }

  byPath({ place, port = 0 }: Pick<Plugged, "place" | "port">): string {
    const name = `platform-usb-0:${place}:1.0-port${port}`;
    return join(this.places.dev, "serial/by-path", name);
  }

  async plugIn(adapter: Plugged): Promise<void> {
    const { tty, place, product = "USB_Serial", serial, port = 0 } = adapter;
    const { dev, sys } = this.places;
    const device = join(sys, "devices/usb1", place);
    const portFolder = join(device, `${place}:1.0`, tty);
    const inClass = join(portFolder, "tty", tty);
    const files = {
      [join(device, "idVendor")]: "1a86",
      [join(device, "idProduct")]: "7523",
      [join(device, "product")]: product,
      ...(serial === undefined ? {} : { [join(device, "serial")]: serial }),
      [join(device, `${place}:1.0`, "bInterfaceNumber")]: "00",
      [join(portFolder, "port_number")]: String(port),
    };
    for (const [file, text] of Object.entries(files)) {
      await mkdir(dirname(file), { recursive: true });
      await writeFile(file, `${text}\n`);
    }
    await link(portFolder, join(inClass, "device"));
    await link(inClass, join(sys, "class/tty", tty));
    await link(adapter.behind ?? "/dev/null", join(dev, tty));
    // Of two adapters with one name, udev's link leads to the one that came last.
    await link(`../../${tty}`, this.byId(adapter));
    await link(`../../${tty}`, this.byPath(adapter));
  }

  /** @param left the adapter of the same name that is still there: udev's link leads to it then */
  async unplug(adapter: Plugged, left?: Plugged): Promise<void> {
    const { tty, place } = adapter;
    await rm(join(this.places.sys, "class/tty", tty), { force: true });
    await rm(join(this.places.sys, "devices/usb1", place, `${place}:1.0`, tty), {
      recursive: true,
      force: true,
    });
    await rm(join(this.places.dev, tty), { force: true });
    await rm(this.byPath(adapter), { force: true });
    await rm(this.byId(adapter), { force: true });
    if (left !== undefined) await link(`../../${left.tty}`, this.byId(left));
  }
}

async function link(target: string, path: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  await rm(path, { force: true });
  await symlink(target, path);
}
