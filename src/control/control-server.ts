import { chmod, mkdir, unlink } from "node:fs/promises";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { dirname } from "node:path";
import { errorFields, FieldgateError } from "../base/errors.ts";
import type { Log } from "../base/log.ts";
import type { Service } from "../base/service.ts";
import { isAnswered } from "./control-client.ts";
import { BODY_BYTES_MAX, type ControlQuestion, type ControlRoutes, REFUSED } from "./protocol.ts";

/** Who says less than a whole question in this time, or takes nothing of the answer, is cut off: nobody here is far away. */
const QUESTION_MS_MAX = 10_000;

/** Where it listens, and for how many. */
export interface ControlOptions {
  readonly socket: string;
  /** Callers that are answered at a time. As many again are told that it is busy: they cannot use up the files of the process. */
  readonly connectionsMax: number;
}

/** The control socket: HTTP over a unix socket that only owner and group may use. */
export class ControlServer implements Service {
  readonly name = "control";
  readonly #socket: string;
  readonly #routes: ControlRoutes;
  readonly #log: Log;
  readonly #connectionsMax: number;
  readonly #questionMsMax: number;
  #server: Server | null = null;
  #answering = 0;
  #refused = 0;

  constructor(
    { socket, connectionsMax }: ControlOptions,
    routes: ControlRoutes,
    log: Log,
    questionMsMax = QUESTION_MS_MAX,
  ) {
    this.#questionMsMax = questionMsMax;
    this.#socket = socket;
    this.#connectionsMax = connectionsMax;
    this.#routes = routes;
    this.#log = log;
  }

  /** Callers that were told that it is busy, or not even that. */
  get refused(): number {
    return this.#refused;
  }

  /** @throws FieldgateError ERR_CONTROL when the socket belongs to a running gateway or cannot be made. */
  async start(): Promise<void> {
    const path = this.#socket;
    const details = { socket: path };
    if (await isAnswered(path)) {
      const message = `another gateway answers on ${path}: stop it, or give this one a control.socket of its own`;
      throw new FieldgateError("ERR_CONTROL", message, { details });
    }
    await mkdir(dirname(path), { recursive: true, mode: 0o750 }).catch(() => {}); // listen() says what is wrong
    await unlink(path).catch(() => {}); // what a killed process has left
    const most = this.#questionMsMax;
    const times = { headersTimeout: most, requestTimeout: most, keepAliveTimeout: 0 };
    const options = { ...times, connectionsCheckingInterval: most / 10 };
    const server = createServer(options, (request, response) => {
      this.#answering++;
      response.on("close", () => this.#answering--);
      this.#answer(request, response).catch((error) => this.#failed(error, response));
    });
    server.maxConnections = 2 * this.#connectionsMax;
    // Of questions behind the first one Node would never say that their caller is gone.
    server.maxRequestsPerSocket = 1;
    server.on("drop", () => this.#refused++);
    this.#server = server;
    await new Promise<void>((resolve, reject) => {
      server.once("error", (cause) => {
        const message = `control socket ${path} cannot be made: ${cause.message}`;
        reject(new FieldgateError("ERR_CONTROL", message, { cause, details }));
      });
      // It is made while listen() runs: never, not for a moment, may others use it.
      const usual = process.umask(0o117);
      server.listen(path, resolve);
      process.umask(usual);
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
    const url = request.url ?? "/";
    const { pathname, searchParams } = URL.canParse(url, BASE) ? new URL(url, BASE) : new URL(BASE);
    const name = pathname.startsWith("/v1/") ? pathname.slice("/v1/".length) : "";
    const key = `${request.method === "POST" ? "POST" : "GET"} ${name}` as const;
    const route = Object.hasOwn(this.#routes, key) ? this.#routes[key] : undefined;
    const isKnown = ["GET", "POST"].includes(request.method ?? "");
    if (route === undefined || !isKnown) {
      const error = `nothing at ${request.method} ${url.slice(0, URL_SHOWN_MAX)}: it is GET or POST below /v1/`;
      this.#reply(response, isKnown ? 404 : 405, { error, code: "ERR_USAGE" });
      return;
    }
    if (this.#answering > this.#connectionsMax) {
      this.#refused++;
      const message = `${this.#connectionsMax} others use the control socket: control.connectionsMax`;
      throw new FieldgateError("ERR_CONTROL_BUSY", message);
    }
    const gone = new AbortController();
    response.on("close", () => gone.abort(new Error("the caller is gone")));
    const body = request.method === "POST" ? await bodyOf(request) : {};
    const question: ControlQuestion = { query: searchParams, body, signal: gone.signal };
    const answer = await route(question);
    if (isStream(answer)) await stream(response, answer, gone.signal);
    else this.#reply(response, 200, answer ?? {});
  }

  #reply(response: ServerResponse, code: number, body: unknown): void {
    response.setTimeout(this.#questionMsMax, () => response.destroy());
    response.writeHead(code, { "content-type": "application/json" });
    response.end(`${JSON.stringify(body)}\n`);
  }

  /** What the caller did wrong is for the caller; what we did wrong is for the log, too. */
  #failed(error: unknown, response: ServerResponse): void {
    if (!(error instanceof FieldgateError)) {
      this.#log.error("control request failed", errorFields(error));
    }
    if (response.headersSent) response.destroy();
    else this.#reply(response, error instanceof FieldgateError ? REFUSED : 500, errorFields(error));
  }
}

const BASE = "http://localhost";
const URL_SHOWN_MAX = 200;

async function bodyOf(request: IncomingMessage): Promise<Readonly<Record<string, unknown>>> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    // Read to its end all the same: who is cut off while writing does not see the answer.
    if (bytes <= BODY_BYTES_MAX) chunks.push(chunk);
  }
  if (bytes > BODY_BYTES_MAX) {
    throw new FieldgateError("ERR_USAGE", `the body has more than ${BODY_BYTES_MAX} bytes`);
  }
  const text = Buffer.concat(chunks).toString();
  try {
    const value: unknown = JSON.parse(text === "" ? "{}" : text);
    if (typeof value === "object" && value !== null && !Array.isArray(value)) {
      return value as Record<string, unknown>;
    }
  } catch {
    // Said below.
  }
  throw new FieldgateError("ERR_USAGE", "the body must be a JSON object");
}

function isStream(answer: unknown): answer is AsyncIterable<unknown> {
  return typeof answer === "object" && answer !== null && Symbol.asyncIterator in answer;
}

/** Line by line, no faster than the caller reads. */
async function stream(
  response: ServerResponse,
  values: AsyncIterable<unknown>,
  gone: AbortSignal,
): Promise<void> {
  response.writeHead(200, { "content-type": "application/x-ndjson" });
  response.flushHeaders();
  for await (const value of values) {
    if (gone.aborted) break;
    if (response.write(`${JSON.stringify(value)}\n`)) continue;
    await new Promise<void>((resolve) => {
      response.once("drain", resolve);
      gone.addEventListener("abort", () => resolve(), { once: true });
    });
  }
  response.end();
}
