import type { Clock } from "../base/clock.ts";
import { errorFields } from "../base/errors.ts";
import type { Log } from "../base/log.ts";
import type { DropReason } from "./cloud.ts";
import { datedIso } from "./identity-properties.ts";
import { isOwnTopic, LETTER_TOPIC } from "./own-topics.ts";
import type { GatewayIdentity, Router } from "./rules.ts";
import type { Source, SourceEntry } from "./source.ts";

export interface DeadLetterTools {
  readonly journal: Source;
  readonly route: Router;
  readonly identity: GatewayIdentity;
  readonly log: Log;
  readonly clock: Pick<Clock, "wallMs">;
}

/**
 * Keeps what the cloud refuses: the message is read from the journal again, and put into its lane as a letter, with all that is
 * known of it, before it is given up. So after a crash there may be two letters of one message, and never none.
 *
 * What the uplink itself tells the cloud becomes no letter: a cloud that refuses letters would be asked for ever.
 */
export class DeadLetters {
  readonly #tools: DeadLetterTools;
  /** Letters written since the start. */
  written = 0;

  constructor(tools: DeadLetterTools) {
    this.#tools = tools;
  }

  /** Resolves with whether the message may be given up: its letter stands in the lane, or there is to be none. */
  async keep(lane: number, seq: number, reason: DropReason): Promise<boolean> {
    const { journal, log, clock } = this.#tools;
    try {
      const { entries } = await journal.read(seq - 1, { messagesMax: 1, bytesMax: 1 }, lane);
      const entry = entries[0];
      if (entry?.seq !== seq || isOwnTopic(entry.message.topic)) return true;
      const payload = Buffer.from(JSON.stringify(this.#letterOf(entry, reason)));
      const letter = {
        topic: LETTER_TOPIC,
        payload,
        qos: 1,
        retain: false,
        properties: null,
      } as const;
      journal.append(letter, lane, clock.wallMs(), []);
      this.written++;
      return true;
    } catch (error) {
      log.warn("what the cloud refuses cannot be kept yet", { lane, seq, ...errorFields(error) });
      return false;
    }
  }

  #letterOf(entry: SourceEntry, reason: DropReason): object {
    const { journal, route, identity } = this.#tools;
    const { seq, message } = entry;
    const { topic, qos, retain, payload } = message;
    const remoteTopic = route(topic)?.remoteTopic ?? null;
    const time = datedIso(entry);
    const base64 = Buffer.from(payload.buffer, payload.byteOffset, payload.length).toString(
      "base64",
    );
    const what = { journal: journal.id, seq, time, topic, remoteTopic, qos, retain };
    return { ...identity, reason, ...what, payload: base64 };
  }
}
