import { FieldgateError } from "./base/errors.ts";
import { type Difference, differences } from "./config/difference.ts";
import { parseConfig } from "./config/yaml-load.ts";
import type { ConfigTrial, TrialStatus } from "./control/config-trial.ts";
import type { ControlQuestion } from "./control/protocol.ts";
import type { GatewayParts } from "./gateway-status.ts";

const CONFIRM_MS = { min: 1000, max: 24 * 3_600_000 };

/** `POST config/diff`: what another configuration would change in the running one. */
export function diff({ config }: GatewayParts, { body }: ControlQuestion) {
  const after = parseConfig(textOf(body), "the new configuration");
  return { differences: differences(config, after) };
}

/** `POST config/apply`: restarts the gateway with it, and back unless it is confirmed within `confirmMs`. */
export function apply(
  parts: GatewayParts,
  { body }: ControlQuestion,
): { readonly differences: readonly Difference[] } & TrialStatus {
  const trial = trialOf(parts);
  const text = textOf(body);
  const { confirmMs } = body;
  if (typeof confirmMs !== "number" || confirmMs < CONFIRM_MS.min || confirmMs > CONFIRM_MS.max) {
    throw new FieldgateError("ERR_USAGE", "apply wants confirmMs from one second to one day");
  }
  const after = parseConfig(text, "the new configuration");
  if (after.control.socket !== parts.config.control.socket) {
    const message = "control.socket would change, and nobody could confirm: change it by hand";
    throw new FieldgateError("ERR_CONFIG_TRIAL", message);
  }
  const found = differences(parts.config, after);
  trial.begin(text, confirmMs);
  return { differences: found, ...trial.status() };
}

/** `GET config/trial`: also the file that the gateway was started with, and is started with again. */
export function trialStatus(
  parts: GatewayParts,
): TrialStatus & { readonly text: string; readonly file: string; readonly isRestarting: boolean } {
  const trial = trialOf(parts);
  const { text } = trial;
  const { file = "" } = parts.trial ?? {};
  return { ...trial.status(), text, file, isRestarting: text !== parts.trial?.text };
}

/** `POST config/confirm`: the caller has written the file. */
export function confirm(parts: GatewayParts): TrialStatus {
  const trial = trialOf(parts);
  trial.confirm();
  return trial.status();
}

/** `POST config/revert` */
export function revert(parts: GatewayParts): TrialStatus {
  const trial = trialOf(parts);
  trial.goBack("taken back");
  return trial.status();
}

function textOf(body: ControlQuestion["body"]): string {
  const { text } = body;
  if (typeof text === "string") return text;
  throw new FieldgateError("ERR_USAGE", "the text of a configuration is missing");
}

function trialOf({ trial }: GatewayParts): ConfigTrial {
  if (trial !== null) return trial.trial;
  throw new FieldgateError("ERR_CONFIG_TRIAL", "this gateway cannot be restarted by itself");
}
