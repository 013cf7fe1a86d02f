import { readFile } from "node:fs/promises";
import { CONTROL_SOCKET, controlSocketIn } from "../config/control-socket.ts";
import { ask, follow, tell } from "../control/control-client.ts";
import { CONFIG_PATH, type Invocation } from "./command.ts";

type Asker = Pick<Invocation, "configPath" | "socket">;

/** Asks the gateway that is meant. @throws as `ask`, and what reading its configuration throws */
export async function askGateway(
  asker: Asker,
  name: string,
  answerMsMax?: number,
): Promise<unknown> {
  return ask(await socketOf(asker), name, answerMsMax);
}

/** Has the gateway that is meant do something. @throws as `askGateway` */
export async function tellGateway(asker: Asker, name: string, body: object): Promise<unknown> {
  return tell(await socketOf(asker), name, body);
}

/** What the gateway that is meant tells from now on. @throws as `askGateway` */
export async function* followGateway(
  asker: Asker,
  name: string,
  opened: () => void,
): AsyncIterable<unknown> {
  yield* follow(await socketOf(asker), name, opened);
}

/** The control socket that was given, or that a configuration names; where the usual file is missing, the usual socket. */
async function socketOf({ configPath, socket }: Asker): Promise<string> {
  if (socket !== null) return socket;
  const text = await readFile(configPath, "utf8").catch(() => null);
  if (text === null && configPath === CONFIG_PATH) return CONTROL_SOCKET;
  const found = text === null ? null : controlSocketIn(text);
  if (found !== null) return found;
  const { loadConfig } = await import("../config/yaml-load.ts");
  return (await loadConfig(configPath)).control.socket;
}
