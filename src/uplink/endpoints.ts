/** Where the uplink connects: an MQTT broker of the cloud. */
export interface Address {
  readonly host: string;
  readonly port: number;
  readonly tls: boolean;
  /** User and password as they stand in the address, decoded; null when they do not. */
  readonly username: string | null;
  readonly password: string | null;
}

const PORTS: Readonly<Record<string, number>> = { "mqtt:": 1883, "mqtts:": 8883 };

/**
 * Reads `mqtt://host:port` or `mqtts://user:password@host:port`; null when it is neither. Port 1883 or 8883 when none is
 * given.
 */
export function parseEndpoint(endpoint: string): Address | null {
  if (!URL.canParse(endpoint)) return null;
  const url = new URL(endpoint);
  const usual = PORTS[url.protocol];
  if (usual === undefined || url.hostname === "") return null;
  return {
    host: url.hostname.replace(/^\[|\]$/g, ""),
    port: url.port === "" ? usual : Number(url.port),
    tls: url.protocol === "mqtts:",
    username: decoded(url.username),
    password: decoded(url.password),
  };
}

/** The endpoint without user and password: for logs and status. */
export function shownEndpoint(endpoint: string): string {
  return endpoint.replace(/\/\/[^/]*@/, "//");
}

function decoded(text: string): string | null {
  if (text === "") return null;
  try {
    return decodeURIComponent(text);
  } catch {
    // A lone percent sign: then it was not encoded.
    return text;
  }
}
