import { FieldgateError } from "./base/errors.ts";
import type { ControlQuestion } from "./control/protocol.ts";
import { type ShownPayload, shownPayload } from "./control/shown-payload.ts";
import type { GatewayParts } from "./gateway-status.ts";
import type { Given, LaneDesk, Waiting } from "./uplink/lane-desk.ts";
import { LANES, type LaneName } from "./uplink/rules.ts";

/** A message that waits for the cloud, as the control socket tells it. */
export type ShownWaiting = Omit<Waiting, "payload"> & { readonly payload: ShownPayload };

const PEEK_USUAL = 10;
const PEEK_MAX = 1000;
const PAYLOAD_BYTES_SHOWN = 256;

/** `GET queue/peek?lane=…&count=…`: the oldest messages of a lane. */
export async function peek(parts: GatewayParts, { query }: ControlQuestion) {
  const lane = laneOf(query.get("lane"));
  const asked = Number(query.get("count") ?? PEEK_USUAL) || PEEK_USUAL;
  const count = Math.min(Math.max(asked, 1), PEEK_MAX);
  const found = await deskOf(parts).peek(lane, count);
  const waiting = found.map((each): ShownWaiting => {
    return { ...each, payload: shownPayload(each.payload, PAYLOAD_BYTES_SHOWN) };
  });
  return { lane, waiting };
}

/** `POST queue/pause`: sends nothing new of `lane` until it is resumed, over restarts too. */
export async function pause(parts: GatewayParts, { body }: ControlQuestion) {
  const lane = laneOf(body["lane"]);
  await deskOf(parts).pause(lane);
  return { lane, paused: true };
}

/** `POST queue/resume`. */
export async function resume(parts: GatewayParts, { body }: ControlQuestion) {
  const lane = laneOf(body["lane"]);
  await deskOf(parts).resume(lane);
  return { lane, paused: false };
}

/** `POST queue/drop`: gives up the oldest `count` messages of `lane`, or without it all; `confirm` must be true. */
export async function drop(
  parts: GatewayParts,
  { body }: ControlQuestion,
): Promise<Given & { readonly lane: LaneName }> {
  const lane = laneOf(body["lane"]);
  if (body["confirm"] !== true) {
    throw new FieldgateError("ERR_USAGE", "what is dropped is gone: it wants to be confirmed");
  }
  const { count: most = Number.POSITIVE_INFINITY } = body;
  if (typeof most !== "number" || !(most >= 1)) {
    // Whoever means a few must not lose all of them by a slip.
    throw new FieldgateError(
      "ERR_USAGE",
      "count is a number from 1 on; without it all are dropped",
    );
  }
  return { lane, ...(await deskOf(parts).drop(lane, most)) };
}

function deskOf({ uplink }: GatewayParts): LaneDesk {
  if (uplink !== null) return uplink.desk;
  throw new FieldgateError("ERR_NOT_THERE", "no uplink is configured: nothing waits for the cloud");
}

function laneOf(name: unknown): LaneName {
  if (typeof name === "string" && Object.hasOwn(LANES, name)) return name as LaneName;
  const message = `there is no lane ${name}; there are ${Object.keys(LANES).join(", ")}`;
  throw new FieldgateError("ERR_NOT_THERE", message, { details: { lane: name } });
}
