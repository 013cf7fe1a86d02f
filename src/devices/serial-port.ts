import type { SerialPort } from "serialport";
import type { Clock } from "../base/clock.ts";
import type { DeviceConfig } from "../config/schema.ts";
import { type SerialPlaces, SYSTEM_SERIAL_PLACES } from "./file-adapters.ts";
import { PortIdentity } from "./file-port-identity.ts";
import {
  type OpenPort,
  type Port,
  type PortListener,
  type PortTrouble,
  portError,
} from "./port.ts";

export type SerialSettings = Pick<
  DeviceConfig,
  "port" | "baudRate" | "dataBits" | "parity" | "stopBits"
>;

/** How often a port is asked whether it is still there. */
const PROBE_MS = 1000;
/** How often it is looked whether another adapter of its name was plugged in. */
const TWIN_MS = 5000;
/** What node-serialport reads ahead; while paused no more than this and the kernel's 4 KiB are kept. */
const READ_AHEAD_BYTES = 4096;

/**
 * A serial port of this machine, held exclusively (flock) while it is open.
 *
 * node-serialport 13 notices a hang-up only while it waits for bytes: when it is reading at that moment, or paused, a read
 * that returns 0 is repeated for ever, at full CPU, and no event is emitted. So the port is asked for its modem lines
 * every second and before each resume; a terminal that was hung up answers EIO.
 */
export function serialPort(
  settings: SerialSettings,
  clock: Clock,
  places: SerialPlaces = SYSTEM_SERIAL_PLACES,
): Port {
  const { port: configured, baudRate, dataBits, parity, stopBits } = settings;
  const identity = new PortIdentity(configured, places);
  return {
    async open(listener, signal) {
      const SerialPort = await loadSerialPort();
      const path = await identity.resolve();
      signal.throwIfAborted();
      const port = new SerialPort({
        path,
        baudRate,
        dataBits,
        parity,
        stopBits,
        autoOpen: false,
        lock: true,
        highWaterMark: READ_AHEAD_BYTES,
      });
      port.pause();
      await new Promise<void>((resolve, reject) => {
        port.open((error) => {
          if (error) reject(portError(openTrouble(error.message), configured, error));
          else resolve();
        });
      });
      try {
        await identity.confirm(path);
        signal.throwIfAborted();
      } catch (error) {
        await closed(port);
        throw error;
      }
      const stopWatching = clock.every(TWIN_MS, () => void identity.watch());
      return opened(port, { path: configured, ended: stopWatching }, listener, clock);
    },
  };
}

/**
 * The native binding is loaded by those gateways that have a serial port, when they open it. node-serialport is CommonJS:
 * bundled, it has only a default export; run from source through tsx, it has none.
 */
async function loadSerialPort(): Promise<typeof SerialPort> {
  const loaded: { SerialPort: typeof SerialPort; default?: { SerialPort: typeof SerialPort } } =
    await import("serialport");
  return (loaded.default ?? loaded).SerialPort;
}

function opened(
  port: SerialPort,
  { path, ended }: { readonly path: string; readonly ended: () => void },
  listener: PortListener,
  clock: Clock,
): OpenPort {
  let at: "open" | "ended" = "open";
  const end = () => {
    at = "ended";
    ended();
    stopProbing();
  };
  const lose = (cause: unknown) => {
    if (at === "ended") return;
    end();
    listener.lost(portError("unplugged", path, cause));
  };
  const probe = (then: () => void) => {
    port.get((error) => {
      if (at === "ended") return;
      if (error !== null && GONE.test(error.message)) lose(error);
      else then();
    });
  };
  const stopProbing = clock.every(PROBE_MS, () => probe(() => {}));
  let wanted = false;
  port.on("data", (chunk: Buffer) => {
    if (at === "open") listener.data(chunk);
  });
  port.on("error", lose);
  port.on("close", lose);
  // Listening for data made it flow.
  port.pause();
  return {
    pause() {
      wanted = false;
      port.pause();
    },
    resume() {
      wanted = true;
      probe(() => {
        if (wanted) port.resume();
      });
    },
    write: (bytes) =>
      new Promise((resolve, reject) => {
        // node-serialport keeps what is written to a closed port for when it is opened again.
        if (at === "ended") throw portError("unplugged", path);
        port.write(Buffer.from(bytes), (error) => {
          if (error) reject(portError("unplugged", path, error));
          else resolve();
        });
      }),
    async close() {
      end();
      if (port.writableLength > 0) await flushed(port);
      await closed(port);
    },
  };
}

function closed(port: SerialPort): Promise<void> {
  return new Promise((resolve) => {
    // Closing reports an error when the port is closed already or gone: both are what was wanted.
    port.close(() => resolve());
  });
}

/** Closing a terminal waits for its output otherwise. */
function flushed(port: SerialPort): Promise<void> {
  return new Promise((resolve) => {
    port.flush(() => resolve());
  });
}

const GONE = /input\/output error|no such device|bad file descriptor|port is not open/i;

export function openTrouble(message: string): PortTrouble {
  return OPEN_TROUBLES.find(([pattern]) => pattern.test(message))?.[1] ?? "failed";
}

const OPEN_TROUBLES: readonly (readonly [RegExp, PortTrouble])[] = [
  [/no such file|no such device|not a directory/i, "no-such-port"],
  [/permission denied|operation not permitted/i, "permission-denied"],
  [/cannot lock port|device or resource busy/i, "busy"],
];
