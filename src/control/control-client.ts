import { type IncomingMessage, request } from "node:http";
import { connect } from "node:net";
import { createInterface } from "node:readline";
import { type ErrorCode, FieldgateError } from "../base/errors.ts";
import { REFUSED } from "./protocol.ts";

const ANSWER_MS_MAX = 5000;

/**
 * Asks a running gateway over its control socket.
 * @param name what is asked, below /v1/; with a query when it has one
 * @throws FieldgateError ERR_CONTROL when nobody answers there; the gateway's own code when it refuses
 */
export async function ask(
  socket: string,
  name: string,
  answerMsMax: number = ANSWER_MS_MAX,
): Promise<unknown> {
  return JSON.parse(await textOf(socket, await open(socket, "GET", name, "", answerMsMax)));
}

/** Has a running gateway do something. @throws as `ask` */
export async function tell(socket: string, name: string, body: object): Promise<unknown> {
  return JSON.parse(await textOf(socket, await open(socket, "POST", name, JSON.stringify(body))));
}

/**
 * What the gateway tells from now on, until the caller stops iterating or the gateway ends.
 * @param opened called once nothing is missed any more
 * @throws as `ask`
 */
export async function* follow(
  socket: string,
  name: string,
  opened: () => void = () => {},
): AsyncIterable<unknown> {
  const response = await open(socket, "GET", name);
  opened();
  // It may be silent for hours.
  response.socket.setTimeout(0);
  try {
    for await (const line of createInterface({ input: response })) yield JSON.parse(line);
  } finally {
    response.destroy();
  }
}

function open(
  socket: string,
  method: "GET" | "POST",
  name: string,
  body = "",
  answerMsMax: number = ANSWER_MS_MAX,
): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const options = {
      socketPath: socket,
      method,
      path: `/v1/${name}`,
      timeout: answerMsMax,
      agent: false,
    };
    const asking = request(options, (response) => {
      if (response.statusCode === 200) resolve(response);
      else refusal(socket, name, response).then(reject, reject);
    });
    asking.on("timeout", () =>
      asking.destroy(new Error(`no answer within ${answerMsMax / 1000} s`)),
    );
    asking.on("error", (cause) => reject(unanswered(socket, cause)));
    asking.end(body);
  });
}

/** Nobody answers there: why not, and what to do. */
function unanswered(socket: string, cause: Error & { code?: string }): FieldgateError {
  const why = SILENCES[cause.code ?? ""] ?? `${cause.message}: it hangs, or its machine is busy`;
  const message =
    cause.code === "EACCES"
      ? `you may not use the socket ${socket}: ask as root, or as a member of its group`
      : `no gateway answers on ${socket}: ${why}; systemctl status fieldgate`;
  return new FieldgateError("ERR_CONTROL", message, { cause, details: { socket } });
}

const SILENCES: Readonly<Record<string, string>> = {
  ENOENT: "there is no such socket, so it does not run, or has another control.socket",
  ECONNREFUSED: "it has ended without a word",
  ECONNRESET: "it broke off",
};

/** @throws FieldgateError ERR_CONTROL when the gateway ends in the middle of its answer */
async function textOf(socket: string, response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  try {
    for await (const chunk of response as AsyncIterable<Buffer>) chunks.push(chunk);
  } catch (cause) {
    throw unanswered(socket, cause as Error);
  }
  return Buffer.concat(chunks).toString();
}

async function refusal(
  socket: string,
  name: string,
  response: IncomingMessage,
): Promise<FieldgateError> {
  if (response.statusCode === 404) {
    response.resume();
    const what = name.replace(/\?.*/, "");
    const message = `the gateway at ${socket} knows nothing of ${what}: it runs another version than this command (fieldgate status shows which); systemctl restart fieldgate`;
    return new FieldgateError("ERR_CONTROL_VERSION", message, { details: { socket } });
  }
  const text = await textOf(socket, response);
  try {
    const { error, code, ...details } = JSON.parse(text) as Record<string, unknown>;
    if (response.statusCode === REFUSED && typeof code === "string") {
      return new FieldgateError(code as ErrorCode, String(error), { details });
    }
  } catch {
    // Not an answer of ours: shown as it is.
  }
  const message = `the gateway at ${socket} answered ${response.statusCode}: ${text.trim()}`;
  return new FieldgateError("ERR_CONTROL", message, { details: { socket } });
}

/** Whether a process listens on a unix socket. */
export function isAnswered(socket: string): Promise<boolean> {
  return new Promise((resolve) => {
    const connection = connect(socket);
    connection.on("connect", () => {
      connection.destroy();
      resolve(true);
    });
    connection.on("error", () => resolve(false));
  });
}
