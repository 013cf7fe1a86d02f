/** Topic in the journal of the records that tell the cloud of a loss. It leaves under `uplink.gapTopic`. */
export const GAP_TOPIC = "$fieldgate/gap";
