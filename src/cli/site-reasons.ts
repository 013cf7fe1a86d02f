import type { GatewayStatus } from "../gateway-status.ts";

/** What is wrong with the site as etcd knows it, worst first. */
export function siteReasons(cluster: GatewayStatus["cluster"]): readonly string[] {
  const { etcd, lastError, garbage } = cluster;
  return [
    ...(lastError === null ? [] : [said(lastError)]),
    ...(etcd === "silent" ? ["etcd does not answer: no primary can be elected"] : []),
    ...garbage.map(said),
  ];
}

function said({ error, code }: Readonly<Record<string, unknown>>): string {
  return `${String(error)} (${String(code)})`;
}
