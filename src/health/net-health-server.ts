import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { errorFields, FieldgateError } from "../base/errors.ts";
import type { Log } from "../base/log.ts";
import type { Service } from "../base/service.ts";
import type { MetricSources } from "./prom-metrics.ts";

/** What the server asks of the gateway. */
export interface HealthSources {
  /** Why the gateway is not ready to serve; nothing when it is. */
  unready(): readonly string[];
  metrics(): MetricSources;
}

/** Who asks is on this machine, and asks in one piece; who takes nothing of the answer for so long is cut off. */
const QUESTION_MS_MAX = 10_000;
const LOOK_MS = 1000;
/** What this machine calls itself: another name in `Host` is that of a page in a browser here, which has its name lead to us. */
const LOCAL_HOST = /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])(?::\d{1,5})?$/i;

/**
 * For monitoring on the machine itself: `/healthz` (the process answers), `/readyz` (it serves; else 503 and why) and
 * `/metrics` (Prometheus). Plain HTTP without authentication: the configuration allows loopback only.
 */
export class HealthServer implements Service {
  readonly name = "health";
  readonly #port: number;
  readonly #connectionsMax: number;
  readonly #sources: HealthSources;
  readonly #log: Log;
  readonly #questionMsMax: number;
  #server: Server | null = null;
  #refused = 0;

  constructor(
    { port, connectionsMax }: { readonly port: number; readonly connectionsMax: number },
    sources: HealthSources,
    log: Log,
    questionMsMax = QUESTION_MS_MAX,
  ) {
    this.#questionMsMax = questionMsMax;
    this.#port = port;
    this.#connectionsMax = connectionsMax;
    this.#sources = sources;
    this.#log = log;
  }

  /** The port that it listens on, once started. */
  get port(): number {
    return (this.#server?.address() as AddressInfo | null)?.port ?? this.#port;
  }

  /** Connections that were closed because there were too many. */
  get refused(): number {
    return this.#refused;
  }

  /** @throws FieldgateError ERR_LISTEN when the port is taken */
  async start(): Promise<void> {
    const most = this.#questionMsMax;
    const times = { headersTimeout: most, requestTimeout: most, keepAliveTimeout: 0 };
    const options = { ...times, connectionsCheckingInterval: Math.min(LOOK_MS, most / 2) };
    const server = createServer(options, (request, response) => {
      const refused = refusal(request);
      if (refused !== null) return reply(response, ...refused);
      this.#answer(request.url ?? "/", response).catch((error) => {
        this.#log.error("health request failed", errorFields(error));
        reply(response, 500, "failed\n");
      });
    });
    server.maxConnections = this.#connectionsMax;
    server.maxRequestsPerSocket = 1; // a scrape is one; a thousand in one piece would each be answered
    server.timeout = most;
    server.on("drop", () => this.#refused++);
    this.#server = server;
    await new Promise<void>((resolve, reject) => {
      server.once("error", (cause) => {
        const message = `health.port ${this.#port} cannot be listened on: ${cause.message}`;
        const details = { port: this.#port };
        reject(new FieldgateError("ERR_LISTEN", message, { cause, details }));
      });
      server.listen(this.#port, "127.0.0.1", resolve);
    });
    this.#log.info("health listens", { port: this.port });
  }

  async stop(): Promise<void> {
    const server = this.#server;
    this.#server = null;
    if (server === null) return;
    server.closeAllConnections();
    await new Promise<void>((resolve) => server.close(() => resolve()));
  }

  async #answer(url: string, response: ServerResponse): Promise<void> {
    const path = url.split("?")[0];
    if (path === "/healthz") reply(response, 200, "ok\n");
    else if (path === "/readyz") {
      const reasons = this.#sources.unready();
      if (reasons.length === 0) reply(response, 200, "ready\n");
      else reply(response, 503, `${reasons.join("\n")}\n`);
    } else if (path === "/metrics") {
      // Who is not scraped does not pay for the package.
      const { METRICS_TYPE, metricsOf } = await import("./prom-metrics.ts");
      reply(response, 200, await metricsOf(this.#sources.metrics()), METRICS_TYPE);
    } else reply(response, 404, "/healthz, /readyz and /metrics are here\n");
  }
}

/** Why a question is not answered: status and words; null when it is. Nobody has a body to send here, and none is read. */
function refusal({ method, headers }: IncomingMessage): [code: number, text: string] | null {
  if (!LOCAL_HOST.test(headers.host ?? "localhost")) {
    return [403, "Host must be localhost or a loopback address\n"];
  }
  return method === "GET" || method === "HEAD" ? null : [405, "only GET and HEAD are answered\n"];
}

function reply(response: ServerResponse, code: number, text: string, type = "text/plain"): void {
  const ends = code === 403 || code === 405 ? { connection: "close" } : {};
  response.writeHead(code, { "content-type": type, ...ends });
  response.end(text);
}
