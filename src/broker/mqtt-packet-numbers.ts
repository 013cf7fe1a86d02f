import packet from "mqtt-packet";

/**
 * Tells mqtt-packet, with which aedes writes, to make a number's two bytes when it needs them. By default it makes all 65,536
 * with the first packet: 10 MiB that stay, for packets that are rare here.
 */
export function keepNoNumbers(): void {
  packet.writeToStream.cacheNumbers = false;
}
