import { request } from "node:http";
import { connect } from "node:net";
import { FieldgateError } from "../base/errors.ts";

const ANSWER_MS_MAX = 5000;

/**
 * Asks a running gateway over its control socket.
 * @throws FieldgateError ERR_CONTROL when nobody answers there, or the answer is an error
 */
export function ask(socket: string, name: string, answerMsMax = ANSWER_MS_MAX): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const failed = (why: string, cause?: unknown) =>
      reject(new FieldgateError("ERR_CONTROL", why, { cause, details: { socket } }));
    const asking = request(
      { socketPath: socket, path: `/v1/${name}`, timeout: answerMsMax },
      (response) => {
        const chunks: Buffer[] = [];
        response.on("data", (chunk) => chunks.push(chunk));
        response.on("error", (error) =>
          failed(`the gateway at ${socket} stopped answering`, error),
        );
        response.on("end", () => {
          const text = Buffer.concat(chunks).toString();
          if (response.statusCode === 200) resolve(JSON.parse(text));
          else failed(`the gateway at ${socket} answered ${response.statusCode}: ${text.trim()}`);
        });
      },
    );
    asking.on("timeout", () => asking.destroy(new Error(`no answer within ${answerMsMax} ms`)));
    asking.on("error", (error) => {
      failed(
        `no gateway answers on ${socket} (${error.message}): is it running, and may you use the socket?`,
        error,
      );
    });
    asking.end();
  });
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
