/** Topics in the journal of what the uplink itself tells the cloud. No rule is asked for them. */

/** Records of losses; they leave under `uplink.gapTopic`. */
export const GAP_TOPIC = "$fieldgate/gap";
/** Messages that the cloud has refused; they leave under `uplink.deadLetterTopic`. */
export const LETTER_TOPIC = "$fieldgate/refused";

export function isOwnTopic(topic: string): boolean {
  return topic === GAP_TOPIC || topic === LETTER_TOPIC;
}
