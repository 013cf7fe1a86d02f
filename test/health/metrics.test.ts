import assert from "node:assert/strict";
import { once } from "node:events";
import { request } from "node:http";
import { connect } from "node:net";
import { describe, it } from "node:test";
import { jsonLog } from "../../src/base/log.ts";
import { systemClock } from "../../src/base/system-clock.ts";
import { HealthServer } from "../../src/health/net-health-server.ts";
import { metricsOf } from "../../src/health/prom-metrics.ts";
import { METRIC_SOURCES } from "../support/metric-sources.ts";
import { until } from "../support/until.ts";

describe("metrics", () => {
  it("name what status counts, with gateway and site, and totals by reason", async () => {
    const text = await metricsOf(METRIC_SOURCES);
    const labels = 'gateway="gw-a",site="plant-7"';
    for (const line of [
      `fieldgate_connections{${labels}} 3`,
      `fieldgate_messages_accepted_total{${labels}} 10`,
      `fieldgate_messages_dropped_total{reason="queue-full",${labels}} 2`,
      `fieldgate_lane_queued_messages{lane="alarm",${labels}} 1`,
      `fieldgate_lane_dropped_total{lane="alarm",reason="expired",${labels}} 4`,
      `fieldgate_device_refused_total{device="boiler",reason="check",${labels}} 5`,
      `fieldgate_journal_commits_total{${labels}} 7`,
      `fieldgate_journal_commit_seconds{quantile="0.5",${labels}} 0.0015`,
      `fieldgate_journal_damaged_total{what="entry",${labels}} 3`,
      `fieldgate_journal_damaged_total{what="file",${labels}} 2`,
      `fieldgate_journal_log_dropped_bytes_total{${labels}} 4096`,
      `fieldgate_flash_device_written_bytes_total{${labels}} 5000`,
      `fieldgate_flash_write_amplification{${labels}} 2.5`,
      `fieldgate_site_role{role="standby",${labels}} 1`,
      `fieldgate_host_cpu_ratio{${labels}} 0.12`,
      `fieldgate_host_network_received_bytes_total{${labels}} 4096`,
      `fieldgate_info{version="1.2.3",${labels}} 1`,
      `fieldgate_clock_quality{quality="free-running",${labels}} 1`,
      `fieldgate_journal_room{room="tight",${labels}} 1`,
      `fieldgate_certificate_not_after_seconds{listener="lan",${labels}} 1800000000`,
      `fieldgate_users_file_refused{${labels}} 1`,
      `fieldgate_uplink_oldest_seconds{${labels}} 7`,
      `fieldgate_downlink_breaker_open{${labels}} 1`,
      `fieldgate_commands_refused_total{reason="late",${labels}} 1`,
      `fieldgate_peer_lag_seconds{peer="gw-b",${labels}} 0.04`,
      "# TYPE fieldgate_messages_accepted_total counter",
    ]) {
      assert.ok(text.split("\n").includes(line), `${line}\n\n${text}`);
    }
  });

  it("leave out what is not known, instead of saying 0", async () => {
    const { cluster, journal, flash } = METRIC_SOURCES;
    const text = await metricsOf({
      ...METRIC_SOURCES,
      journal: { ...journal, figures: { ...journal.figures, commitMsP99: null } },
      flash: flash && { ...flash, yearsLeft: null },
      uplink: null,
      progress: null,
      devices: [],
      cluster: { ...cluster, epoch: null },
      replication: null,
      host: null,
    });
    assert.doesNotMatch(
      text,
      /^fieldgate_(uplink|host|device|site_epoch|flash_years|peer|replica)|"0\.99"/m,
    );
  });

  it("write labels as the format wants them, whatever the reason says", async () => {
    const broker = { ...METRIC_SOURCES.broker, closed: { 'a "quoted"\nreason\\': 1 } };
    const text = await metricsOf({ ...METRIC_SOURCES, broker });
    assert.ok(text.includes('reason="a \\"quoted\\"\\nreason\\\\"'), text);
  });
});

describe("the health server", () => {
  it("answers /healthz, /readyz and /metrics, on loopback", () =>
    withServer([], async (get) => {
      assert.deepEqual(await get("/healthz"), [200, "ok\n"]);
      assert.deepEqual(await get("/readyz"), [200, "ready\n"]);
      const [code, text] = await get("/metrics?x=1");
      assert.equal(code, 200);
      assert.match(text, /^fieldgate_connections\{/m);
      assert.equal((await get("/secrets"))[0], 404);
    }));

  it("is alive and not ready while the store fails, and says why", () =>
    withServer(["store failed: no space left"], async (get) => {
      assert.equal((await get("/healthz"))[0], 200);
      assert.deepEqual(await get("/readyz"), [503, "store failed: no space left\n"]);
    }));

  it("closes one connection more than it may have, and counts it", () =>
    withServer([], async (_get, port, server) => {
      const all = Array.from({ length: 5 }, () => connect({ port, host: "127.0.0.1" }));
      await once(all.at(-1) ?? assert.fail(), "close");
      assert.equal(server.refused, 1);
      for (const each of all) each.destroy();
    }));

  it("answers this machine's own names and GET only, and reads no body", () =>
    withServer([], async (_get, port) => {
      const status = (options: object, body = "") =>
        new Promise<number | undefined>((resolve, reject) => {
          const asking = request(
            { host: "127.0.0.1", port, path: "/healthz", ...options },
            (answer) => {
              answer.resume();
              resolve(answer.statusCode);
            },
          );
          asking.on("error", reject);
          asking.end(body);
        });
      const host = (name: string) => status({ headers: { host: name } });
      for (const name of ["localhost", `localhost:${port}`, "127.0.0.1", "[::1]:9100"]) {
        assert.equal(await host(name), 200, name);
      }
      // A page of that name, in a browser on the gateway, whose name now leads here.
      for (const name of [
        "evil.example",
        `evil.example:${port}`,
        "localhost.evil.example",
        "10.0.0.1",
      ]) {
        assert.equal(await host(name), 403, name);
      }
      for (const method of ["POST", "PUT", "DELETE", "OPTIONS"]) {
        assert.equal(await status({ method }, "x"), 405, method);
      }
      assert.equal(await status({ method: "HEAD" }), 200);
    }));

  it("answers one question of a connection, and waits for nobody who does not take the answer", () =>
    withServer([], async (get, port) => {
      const slow = Array.from({ length: 4 }, () => connect({ port, host: "127.0.0.1" }).pause());
      const asked = "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(2000);
      for (const each of slow) each.on("error", () => {}).write(asked);
      await until("others are answered", () =>
        get("/healthz").then(
          ([code]) => code === 200,
          () => false,
        ),
      );
      for (const each of slow) each.destroy();
      await until("one of two is answered", async () => {
        const both = connect({ port, host: "127.0.0.1" }).on("error", () => {});
        both.write("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(2));
        let text = "";
        both.on("data", (chunk) => {
          text += chunk;
        });
        await once(both, "close");
        return text.match(/^ok\r?$/gm)?.length === 1;
      });
    }));

  it("says with ERR_LISTEN that its port is taken", () =>
    withServer([], async (_get, port) => {
      const second = new HealthServer(
        { port, connectionsMax: 4 },
        { unready: () => [], metrics: () => METRIC_SOURCES },
        LOG,
      );
      await assert.rejects(second.start(), { code: "ERR_LISTEN" });
      await second.stop();
    }));
});

const LOG = jsonLog({ clock: systemClock, level: "error", write: () => {} });

async function withServer(
  reasons: readonly string[],
  work: (
    get: (path: string) => Promise<[number, string]>,
    port: number,
    server: HealthServer,
  ) => Promise<void>,
): Promise<void> {
  const sources = { unready: () => reasons, metrics: () => METRIC_SOURCES };
  const server = new HealthServer({ port: 0, connectionsMax: 4 }, sources, LOG, 500);
  await server.start();
  try {
    await work(
      async (path) => {
        const answer = await fetch(`http://127.0.0.1:${server.port}${path}`);
        return [answer.status, await answer.text()];
      },
      server.port,
      server,
    );
  } finally {
    await server.stop();
  }
}
