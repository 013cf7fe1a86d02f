export type QoS = 0 | 1 | 2;

/** An application message: what a publisher says, whichever way it came and whichever way it leaves. */
export interface Message {
  readonly topic: string;
  readonly payload: Uint8Array;
  readonly qos: QoS;
  /** As published: true asks that the message be kept for later subscribers [MQTT-3.3.1-5]. */
  readonly retain: boolean;
  /** MQTT 5 properties as they stand on the wire, without their length; null when there are none. */
  readonly properties: Uint8Array | null;
}

/** The QoS at which a message published with one leaves for a subscription granted the other [MQTT-3.8.4-6]. */
export function lowerQoS(published: QoS, granted: QoS): QoS {
  return published < granted ? published : granted;
}
