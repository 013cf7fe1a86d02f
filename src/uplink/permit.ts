/** Whether the uplink may send now, where that is not always so: on a site only the primary does. */
export interface Permit {
  /** Asked before each message, in the same turn of the event loop. */
  may(): boolean;
  /** Goes with each message: a receiver that has seen a higher one refuses it. Null when there is none. */
  epoch(): number | null;
  /** Calls `changed` when the answers may have changed, until the returned function is called. */
  follow(changed: () => void): () => void;
}
