/** Where the uplink connects: an MQTT broker of the cloud. */
export interface Address {
  readonly host: string;
  readonly port: number;
  readonly tls: boolean;
}

const PORTS: Readonly<Record<string, number>> = { "mqtt:": 1883, "mqtts:": 8883 };

/** Reads `mqtt://host:port` or `mqtts://host:port`; null when it is neither. Port 1883 or 8883 when none is given. */
export function parseEndpoint(endpoint: string): Address | null {
  if (!URL.canParse(endpoint)) return null;
  const url = new URL(endpoint);
  const usual = PORTS[url.protocol];
  if (usual === undefined || url.hostname === "") return null;
  return {
    host: url.hostname.replace(/^\[|\]$/g, ""),
    port: url.port === "" ? usual : Number(url.port),
    tls: url.protocol === "mqtts:",
  };
}
