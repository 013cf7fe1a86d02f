import { checkTwice, conflict } from "./check-twice.ts";
import type { Finding } from "./mistake.ts";
import type { Config, ListenerConfig } from "./schema.ts";

/** Names, addresses, protection and certificates of the listeners. */
export function* checkListeners({ listeners }: Config): Generator<Finding> {
  yield* checkTwice(
    listeners,
    (listener) => listener.name,
    (index) => `listeners[${index}].name`,
    (first) => `is taken by ${first}: every listener needs its own name`,
  );
  for (const [index, listener] of listeners.entries()) {
    const path = `listeners[${index}].port`;
    const other = listeners.findIndex((one) => takesSamePort(one, listener));
    if (other === -1 || other >= index) continue;
    const rest = [
      `listeners[${index}].host`,
      `listeners[${other}].host`,
      `listeners[${other}].port`,
    ];
    yield conflict(path, `is taken on this address by listeners[${other}]`, rest);
  }
  for (const [index, listener] of listeners.entries()) {
    const path = `listeners[${index}]`;
    yield* checkProtection(listener, path);
    yield* checkCertificate(listener, path);
  }
}

function* checkProtection(
  { type, host, insecure }: ListenerConfig,
  path: string,
): Generator<Finding> {
  const restsOn = [`${path}.type`, `${path}.host`];
  if (usesTls(type)) {
    if (insecure) yield conflict(`${path}.insecure`, `does not belong to ${type}`, restsOn);
  } else if (!insecure && !isLoopback(host)) {
    const message = `is beyond loopback, and ${type} protects nothing: take ${type === "ws" ? "wss" : "tls"}, or say insecure: true`;
    yield conflict(`${path}.host`, message, [...restsOn, `${path}.insecure`]);
  }
}

function* checkCertificate(listener: ListenerConfig, path: string): Generator<Finding> {
  const { type, certFile, keyFile, clientCaFile } = listener;
  const restsOn = [`${path}.type`];
  if (usesTls(type)) {
    for (const [key, file] of Object.entries({ certFile, keyFile })) {
      const message = `is missing: ${type} needs it`;
      if (!file) yield { path: `${path}.${key}`, code: "missing", message, restsOn };
    }
    return;
  }
  for (const [key, file] of Object.entries({ certFile, keyFile, clientCaFile })) {
    if (file)
      yield conflict(`${path}.${key}`, `does not belong to ${type}, only to tls and wss`, restsOn);
  }
}

function usesTls(type: ListenerConfig["type"]): boolean {
  return type === "tls" || type === "wss";
}

/** Whether a host to listen on is reached from this machine only. */
export function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || /^127(\.\d{1,3}){3}$/.test(host);
}

function takesSamePort(a: ListenerConfig, b: ListenerConfig): boolean {
  if (a.port !== b.port || a.port === 0) return false;
  return a.host === b.host || isEveryAddress(a.host) || isEveryAddress(b.host);
}

function isEveryAddress(host: string): boolean {
  return host === "0.0.0.0" || host === "::";
}
