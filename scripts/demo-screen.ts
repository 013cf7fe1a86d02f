import type { GatewayStatus } from "../src/gateway-status.ts";

export interface DemoView {
  readonly status: GatewayStatus;
  /** Accepted a second, over the last look. */
  readonly perSecond: number;
  readonly mqttSensors: number;
  readonly serialSensors: number;
  readonly port: number;
  readonly cloudPort: number;
  readonly cloudReceived: number;
}

/** The summary, as lines. */
export function demoScreen(view: DemoView): string[] {
  const { status, port, cloudPort } = view;
  const { accepted, delivered, queued } = status.ledger.telemetry;
  const serial = status.devices.filter(({ state }) => state === "open").length;
  const mqtt = Math.min(status.broker.connections, view.mqttSensors);
  const waiting = status.journal.lastSeq - status.journal.durableSeq;
  const up = Math.floor(status.uptimeMs / 1000);
  return [
    `fieldgate: gateway ${status.gateway} at site ${status.site}, up ${up} s`,
    "",
    row(
      "sensors connected",
      `${mqtt + serial} of ${view.mqttSensors + view.serialSensors}`,
      `${mqtt} over MQTT, ${serial} over serial lines`,
    ),
    row("messages accepted", count(accepted), `${view.perSecond.toFixed(0)} a second`),
    row("on disk", count(accepted - waiting), "synced before anybody was told"),
    row(
      "delivered to the cloud",
      count(delivered),
      `the stand-in has seen ${count(view.cloudReceived)} since it started`,
    ),
    row("queued", count(queued), `uplink ${status.uplink?.state ?? "none"}`),
    "",
    `MQTT on 127.0.0.1:${port} (try: mosquitto_sub -p ${port} -t '#' -v), stand-in for the cloud on 127.0.0.1:${cloudPort}`,
    "Store in ./data. Ctrl-C ends it.",
  ];
}

/** The summary in one line, for where there is no terminal. */
export function demoLine(view: DemoView): string {
  const { accepted, delivered, queued } = view.status.ledger.telemetry;
  const serial = view.status.devices.filter(({ state }) => state === "open").length;
  const waiting = view.status.journal.lastSeq - view.status.journal.durableSeq;
  const sensors = Math.min(view.status.broker.connections, view.mqttSensors) + serial;
  return `sensors ${sensors}, accepted ${accepted}, on disk ${accepted - waiting}, delivered ${delivered}, queued ${queued}`;
}

function row(name: string, value: string, remark: string): string {
  return `  ${name.padEnd(24)} ${value.padStart(10)}   ${remark}`;
}

function count(value: number): string {
  return value.toLocaleString("en-US");
}
