import { errorFields, FieldgateError } from "../base/errors.ts";
import type { Log } from "../base/log.ts";
import type { Message } from "../mqtt/message.ts";
import type { ControlPersistence, StoredWill } from "./level-persistence.ts";

/** What becomes of a will that was left. */
export interface WillsWorld {
  readonly log: Log;
  /** Whether its owner may publish it now. */
  mayPublish(will: StoredWill, owner: string): Promise<boolean>;
  /** Resolves when it is kept, or dropped because nobody may publish there. */
  publish(will: Message, owner: string): Promise<void>;
}

/**
 * Those who were connected when the last process ended are gone: their wills are due [MQTT-3.1.2-8]. One for which the
 * store has no room stays for the next start, and keeps nobody from coming in now.
 */
export async function publishWillsLeft(
  wills: readonly StoredWill[],
  persistence: ControlPersistence,
  { log, mayPublish, publish }: WillsWorld,
): Promise<void> {
  for (const will of wills) {
    const { clientId, topic, payload, qos, retain } = will;
    const owner = clientId.split("\0")[0] ?? "";
    try {
      if (await mayPublish(will, owner)) {
        await publish({ topic, payload, qos, retain, properties: null }, owner);
      }
    } catch (error) {
      if (!(error instanceof FieldgateError)) throw error;
      log.warn("will not published", { clientId: owner, ...errorFields(error) });
      continue;
    }
    await persistence.delWill({ id: clientId });
  }
}
