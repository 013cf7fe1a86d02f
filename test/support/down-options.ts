import type { DownConfig } from "../../src/config/schema.ts";

/** A complete configuration of what comes down, for tests. */
export function downOptions(changes: Partial<DownConfig> = {}): DownConfig {
  return {
    subscriptions: [{ filter: "sites/{site}/commands/#", qos: 1, localTopic: "commands/{rest}" }],
    sessionExpirySeconds: 3600,
    inflightMax: 64,
    messageBytesMax: 4096,
    identityProperty: "fg-id",
    correlationIdentifies: true,
    identitiesMax: 1000,
    deadlineProperty: "fg-deadline",
    envelope: "none",
    ...changes,
  };
}
