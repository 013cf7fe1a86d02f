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
    const began = clock.monotonicMs();
    const shaken = await handshake(opened, {
      host,
      ...(ca && { ca }),
      ...(cert && { cert }),
      ...(key && { key }),
    }).catch((error: Error) => error);
    const ms = clock.monotonicMs() - began;
    const judged =
      shaken instanceof Error ? refusedTls(id, shown, shaken) : trusted(id, shaken, ms);
    findings.push(...judged);
    if (shaken instanceof Error) return findings;
    shaken.destroy();
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

/** What the certificate's time says of the clock is a step of its own: whose clock is wrong is not for TLS to say. */
function refusedTls(id: string, shown: string, error: Error & { code?: string }): Finding[] {
  const why = `${shown}: ${error.message}`;
  if (error.code === "CERT_NOT_YET_VALID" || error.code === "CERT_HAS_EXPIRED") {
    const early = error.code === "CERT_NOT_YET_VALID";
    return [
      {
        id: `${id}.clock`,
        verdict: "critical",
        what: `by our clock the cloud's certificate ${early ? "is not valid yet" : "has expired"}`,
        why,
        todo: "fieldgate time; when the clock is right, the cloud has to renew its certificate",
      },
    ];
  }
  const todo = "is uplink.caFile that of this cloud, does the certificate name this host?";
  return [{ id: `${id}.tls`, verdict: "critical", what: "tls fails", why, todo }];
}

function trusted(id: string, socket: TLSSocket, ms: number): Finding[] {
  const { valid_to } = socket.getPeerCertificate();
  const what = `${socket.getProtocol()}, certificate of ${subjectOf(socket)} is trusted`;
  const clock = `fits the cloud's certificate, which ends on ${valid_to}`;
  return [
    { id: `${id}.tls`, verdict: "fine", what, ms },
    { id: `${id}.clock`, verdict: "fine", what: clock },
  ];
}

const WELL: Readonly<Record<string, string>> = {
  authentication: "the cloud lets us in",
  publish: "a message has left",
  acknowledgement: "the cloud acknowledges it",
};
const REMEDIES: Readonly<Record<string, string>> = {
  authentication: "are user, password file, client certificate and client id those of the cloud?",
  publish: "does the connection break under load? look at the modem, the VPN, the firewall",
  acknowledgement:
    "may this client publish to the remote topics of uplink.rules? is the cloud overloaded?",
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
