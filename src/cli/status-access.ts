import type { GatewayStatus } from "../gateway-status.ts";

/** What status warns of about access control and overload. */
export function accessWarnings({
  access,
  broker,
}: Pick<GatewayStatus, "access" | "broker">): string[] {
  const { users, tokenKeys } = access;
  const { state, lagMs, memoryBytes } = broker.overload;
  const drops = state === "refusing" ? "QoS 0 and new connections are" : "QoS 0 is";
  return [
    ...(users?.error ? [`the users file is not taken: ${users.error}`] : []),
    ...(tokenKeys?.error ? [`keys of tokens are not fresh: ${tokenKeys.error}`] : []),
    ...(state === "calm"
      ? []
      : [
          `overloaded, ${drops} refused: ${lagMs} ms late, ${Math.round(memoryBytes / 2 ** 20)} MiB`,
        ]),
  ];
}
