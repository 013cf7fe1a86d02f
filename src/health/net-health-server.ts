import { createServer, type Server, type ServerResponse } from "node:http";
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

/**
 * For monitoring on the machine itself: `/healthz` (the process answers), `/readyz` (it serves; else 503 and why) and
 * `/metrics` (Prometheus). Plain HTTP without authentication: the configuration allows loopback only.
 */
export class HealthServer implements Service {
  readonly name = "health";
  readonly #port: number;
  readonly #sources: HealthSources;
  readonly #log: Log;
  #server: Server | null = null;

  constructor(port: number, sources: HealthSources, log: Log) {
    this.#port = port;
    this.#sources = sources;
    this.#log = log;
  }

  /** The port that it listens on, once started. */
  get port(): number {
    return (this.#server?.address() as AddressInfo | null)?.port ?? this.#port;
  }

  /** @throws FieldgateError ERR_LISTEN when the port is taken */
  async start(): Promise<void> {
    const server = createServer((request, response) => {
      this.#answer(request.url ?? "/", response).catch((error) => {
        this.#log.error("health request failed", errorFields(error));
        reply(response, 500, "failed\n");
      });
    });
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

function reply(response: ServerResponse, code: number, text: string, type = "text/plain"): void {
  response.writeHead(code, { "content-type": type });
  response.end(text);
}
