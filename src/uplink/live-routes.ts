import type { UplinkRuleConfig } from "../config/schema.ts";
import { compileRules, type GatewayIdentity, type Router } from "./rules.ts";

/** Routers by the uplink's rules, which may change while the gateway runs: from then on each message goes by the new ones. */
export class LiveRoutes {
  #rules: readonly UplinkRuleConfig[];
  #version = 0;

  constructor(rules: readonly UplinkRuleConfig[]) {
    this.#rules = rules;
  }

  set(rules: readonly UplinkRuleConfig[]): void {
    this.#rules = rules;
    this.#version++;
  }

  /** @throws FieldgateError ERR_CONFIG_INVALID as compileRules */
  of(identity: GatewayIdentity): Router {
    let version = this.#version;
    let router = compileRules(this.#rules, identity);
    return (topic) => {
      if (version !== this.#version) {
        version = this.#version;
        router = compileRules(this.#rules, identity);
      }
      return router(topic);
    };
  }
}
