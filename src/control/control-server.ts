import { chmod, mkdir, unlink } from "node:fs/promises";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { dirname } from "node:path";
import { errorFields, FieldgateError } from "../base/errors.ts";
import type { Log } from "../base/log.ts";
import type { Service } from "../base/service.ts";
import { isAnswered } from "./control-client.ts";

/** What can be asked, by path below /v1/. Answers are JSON. */
export type ControlRoutes = Readonly<Record<string, () => unknown | Promise<unknown>>>;

/** The control socket: HTTP over a unix socket that only owner and group may use. */
export class ControlServer implements Service {
  readonly name = "control";
  readonly #socket: string;
  readonly #routes: ControlRoutes;
  readonly #log: Log;
  #server: Server | null = null;

  constructor(socket: string, routes: ControlRoutes, log: Log) {
    this.#socket = socket;
    this.#routes = routes;
    this.#log = log;
  }

  /** @throws FieldgateError ERR_CONTROL when the socket belongs to a running gateway or cannot be made. */
  async start(): Promise<void> {
    const path = this.#socket;
    const details = { socket: path };
    if (await isAnswered(path)) {
      const message = `another gateway answers on ${path}: stop it, or give this one a control.socket of its own`;
      throw new FieldgateError("ERR_CONTROL", message, { details });
    }
    await mkdir(dirname(path), { recursive: true }).catch(() => {}); // listen() says what is wrong
    await unlink(path).catch(() => {}); // what a killed process has left
    const server = createServer((request, response) => {
      this.#answer(request, response).catch((error) => this.#failed(error));
    });
    this.#server = server;
    await new Promise<void>((resolve, reject) => {
      server.once("error", (cause) => {
        const message = `control socket ${path} cannot be made: ${cause.message}`;
        reject(new FieldgateError("ERR_CONTROL", message, { cause, details }));
      });
      server.listen(path, resolve);
    });
    await chmod(path, 0o660);
  }

  async stop(): Promise<void> {
    const server = this.#server;
    this.#server = null;
    if (server === null) return;
    server.closeAllConnections();
    await new Promise<void>((resolve) => server.close(() => resolve()));
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const name = /^\/v1\/([a-z-]+)$/.exec(request.url ?? "")?.[1];
    const route =
      name !== undefined && Object.hasOwn(this.#routes, name) ? this.#routes[name] : undefined;
    if (request.method !== "GET" || route === undefined) {
      reply(response, 404, { error: `nothing at ${request.method} ${request.url}` });
      return;
    }
    try {
      reply(response, 200, await route());
    } catch (error) {
      this.#failed(error);
      reply(response, 500, errorFields(error));
    }
  }

  #failed(error: unknown): void {
    this.#log.error("control request failed", errorFields(error));
  }
}

function reply(response: ServerResponse, code: number, body: unknown): void {
  response.writeHead(code, { "content-type": "application/json" });
  response.end(`${JSON.stringify(body)}\n`);
}
