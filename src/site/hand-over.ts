import { FieldgateError } from "../base/errors.ts";

export interface HandOver {
  readonly to: string;
  readonly epoch: number;
}

export function notPrimary(primary: { readonly gateway: string } | null): FieldgateError {
  const who = primary === null ? "no gateway is" : `${primary.gateway} is`;
  return refused(`this gateway is not primary: ${who}`, { primary: primary?.gateway ?? null });
}

export function refused(message: string, details: Record<string, unknown>): FieldgateError {
  return new FieldgateError("ERR_SITE_HAND_OVER", message, { details });
}
