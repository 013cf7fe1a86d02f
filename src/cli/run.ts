import { errorFields } from "../base/errors.ts";
import { jsonLog } from "../base/log.ts";
import { systemBootMs, systemClock } from "../base/system-clock.ts";
import { ConfigLayers } from "../config/file-layers.ts";
import { Gateway, type GatewayTools } from "../gateway.ts";
import { hostTimeSources } from "../health/host-time-sources.ts";
import { openNotifySocket } from "../health/koffi-notify.ts";
import { statusLine } from "../health/status-line.ts";
import { Supervision, supervisionOptions } from "../health/supervision.ts";
import type { Command } from "./command.ts";

export const command: Command = {
  help: `fieldgate run [--config FILE]   run the gateway in the foreground

Log lines go to standard error, one JSON object each. SIGTERM or SIGINT ends it: what was accepted is written, messages
in flight to the cloud are waited for, then it exits with 0. A second signal ends it at once.

Examples:
  fieldgate run --config ./fieldgate.yaml

Exit codes: 0 ended by a signal, 2 it could not start
`,

  async run({ configPath }) {
    const layers = await ConfigLayers.load(configPath);
    const { config } = layers;
    const clock = systemClock;
    const write = (line: string) => process.stderr.write(line);
    const log = jsonLog({ clock, level: () => layers.live.log.level, write });
    if (layers.fault !== null)
      log.error("what etcd said last is not used", errorFields(layers.fault));
    const stop = new AbortController();
    const timeSources = hostTimeSources(systemBootMs, process.env);
    const gateway = new Gateway(config, { layers, clock, log, random: Math.random, timeSources });
    const ended = new Promise<NodeJS.Signals>((resolve) => {
      for (const signal of ["SIGTERM", "SIGINT"] as const) {
        process.on(signal, () => {
          if (stop.signal.aborted) process.exit(1);
          stop.abort(new Error(`ended by ${signal}`));
          resolve(signal);
        });
      }
    });
    try {
      await gateway.start(stop.signal);
    } catch (error) {
      if (stop.signal.aborted) return 0;
      log.error("gateway did not start", errorFields(error));
      throw error;
    }
    const supervision = supervisionOf(gateway, { clock, log: log.part("health") });
    await supervision?.start();
    log.info("ready", { gateway: config.gateway.id, site: config.gateway.site });
    log.info("stopping", { signal: await ended });
    await supervision?.stop();
    await gateway.stop();
    log.info("stopped");
    return 0;
  },
};

/** Null when no systemd watches. */
function supervisionOf(gateway: Gateway, tools: Pick<GatewayTools, "clock" | "log">) {
  const options = supervisionOptions(process.env, process.pid);
  if (options === null) return null;
  return new Supervision(options, {
    ...tools,
    open: openNotifySocket,
    heart: gateway.heart,
    status: () => statusLine(gateway.status()),
  });
}
