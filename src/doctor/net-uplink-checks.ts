import { lookup } from "node:dns/promises";
import { readFile } from "node:fs/promises";
import { connect, isIP, type Socket } from "node:net";
import { connect as connectTls, type TLSSocket } from "node:tls";
import type { Clock } from "../base/clock.ts";
import type { UplinkConfig } from "../config/schema.ts";
import type { Check, Finding } from "./finding.ts";

/** One address of the cloud, taken apart. */
export interface UplinkAddress {
  /** As configured; may hold a password. */
  readonly endpoint: string;
  /** The same without user and password. */
  readonly shown: string;
  readonly host: string;
  readonly port: number;
  readonly tls: boolean;
}

/** CONNECT and one QoS 1 message with the gateway's own client; each step as it ends, the last one perhaps with an error. */
export type MqttProbe = (
  address: UplinkAddress,
) => Promise<readonly { readonly step: string; readonly ms: number; readonly error?: string }[]>;

export interface UplinkProbes {
  readonly clock: Clock;
  /** Null while the gateway is connected itself: a second client with its id would throw it out. */
  readonly mqtt: MqttProbe | null;
}

const STEP_MS_MAX = 5000;

/** The way to each endpoint step by step, each step timed; what comes after a failed step is not tried. */
export function uplinkChecks(
  uplink: UplinkConfig,
  addresses: readonly UplinkAddress[],
  probes: UplinkProbes,
): readonly Check[] {
  return addresses.map((address, i) => {
    const id = addresses.length === 1 ? "uplink" : `uplink.${i + 1}`;
    return { id, run: () => walk(id, address, uplink, probes) };
  });
}

async function walk(
  id: string,
  address: UplinkAddress,
  { caFile, certFile, keyFile }: UplinkConfig,
  { clock, mqtt }: UplinkProbes,
): Promise<readonly Finding[]> {
  const findings: Finding[] = [];
  const { shown, host, port, tls } = address;
  const timed = async <T>(
    step: string,
    work: Promise<T>,
    told: (value: T) => string,
    todo: string,
  ): Promise<T | null> => {
    const began = clock.monotonicMs();
    const name = `${id}.${step}`;
    try {
      const value = await work;
      const ms = clock.monotonicMs() - began;
      findings.push({ id: name, verdict: "fine", what: told(value), ms });
      return value;
    } catch (error) {
      const why = `${shown}: ${(error as Error).message}`;
      findings.push({ id: name, verdict: "critical", what: `${step} fails`, why, todo });
      return null;
    }
  };

  const found = await timed(
    "dns",
    isIP(host) ? Promise.resolve({ address: host }) : lookup(host),
    (answer) => (isIP(host) ? `${host} is an address` : `${host} is ${answer.address}`),
    `is the name right, is there a name server? resolvectl query ${host}`,
  );
  if (found === null) return findings;
  const opened = await timed(
    "tcp",
    dial(found.address, port),
    () => `${found.address}:${port} answers`,
    `a firewall, or nobody listens there: nc -vz ${host} ${port}`,
  );
  if (opened === null) return findings;
  if (tls) {
    const files = await Promise.all([caFile, certFile, keyFile].map(contents));
    const [ca, cert, key] = files;
    const shaken = await timed(
      "tls",
      handshake(opened, { host, ...(ca && { ca }), ...(cert && { cert }), ...(key && { key }) }),
      (socket) => `${socket.getProtocol()}, certificate of ${subjectOf(socket)} is trusted`,
      "is the clock right, is uplink.caFile that of this cloud, does the certificate name this host?",
    );
    shaken?.destroy();
    if (shaken === null) return findings;
  }
  opened.destroy();
  if (mqtt === null) return findings;
  for (const { step, ms, error } of await mqtt(address)) {
    findings.push(
      error === undefined
        ? { id: `${id}.${step}`, verdict: "fine", what: WELL[step] ?? step, ms }
        : {
            id: `${id}.${step}`,
            verdict: "critical",
            what: `${step} fails`,
            why: `${shown}: ${error}`,
            todo: REMEDIES[step] ?? "see docs/uplink.md",
          },
    );
  }
  return findings;
}

const WELL: Readonly<Record<string, string>> = {
  authentication: "the cloud lets us in",
  publish: "the cloud acknowledges a message",
};
const REMEDIES: Readonly<Record<string, string>> = {
  authentication: "are user, password file, client certificate and client id those of the cloud?",
  publish: "may this client publish to the remote topics of uplink.rules?",
};

function dial(host: string, port: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port, timeout: STEP_MS_MAX });
    socket.once("connect", () => resolve(socket));
    socket.once("timeout", () => socket.destroy(new Error(`no answer in ${STEP_MS_MAX} ms`)));
    socket.on("error", reject);
  });
}

function handshake(
  socket: Socket,
  options: { host: string; ca?: Buffer; cert?: Buffer; key?: Buffer },
): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const { host, ...material } = options;
    const name = isIP(host) ? {} : { servername: host };
    const secure = connectTls({ socket, host, ...name, ...material }, () => resolve(secure));
    secure.on("error", reject);
    secure.setTimeout(STEP_MS_MAX, () => secure.destroy(new Error("no answer to the handshake")));
  });
}

function subjectOf(socket: TLSSocket): string {
  return [socket.getPeerCertificate().subject?.CN ?? "the cloud"].flat().join(", ");
}

async function contents(path: string | undefined): Promise<Buffer | undefined> {
  // What cannot be read is a finding of the certificates' checks.
  return path === undefined ? undefined : readFile(path).catch(() => undefined);
}
