/** What differs between the unit of the one gateway of a host and that of one of several: each text, and what stands in its place. */
const CHANGES: readonly (readonly [string, string])[] = [
  [
    "# A gateway as a service. What must differ at a place goes into `systemctl edit fieldgate`, not into this file.\n" +
      "# fieldgate@.service, for several gateways on one host, is generated from it.\n",
    "# One of several gateways on one host: `systemctl enable --now fieldgate@NAME` runs it with /etc/fieldgate/NAME.yaml, whose\n" +
      "# store.path is /var/lib/fieldgate-NAME and whose control.socket is /run/fieldgate-NAME/control.sock; its ports are its own.\n" +
      "# Generated from fieldgate.service by `npm run docs`.\n",
  ],
  ["MQTT broker at the edge\n", "MQTT broker at the edge, %i\n"],
  ["/etc/fieldgate/fieldgate.yaml", "/etc/fieldgate/%i.yaml"],
  ["/run/credentials/fieldgate.service/", "/run/credentials/fieldgate@NAME.service/"],
  ["StateDirectory=fieldgate\n", "StateDirectory=fieldgate-%i\n"],
  ["RuntimeDirectory=fieldgate\n", "RuntimeDirectory=fieldgate-%i\n"],
];

/** systemd/fieldgate@.service, from the text of systemd/fieldgate.service. @throws Error when that no longer has what differs */
export function templateUnit(unit: string): string {
  return CHANGES.reduce((text, [from, to]) => {
    if (!text.includes(from)) throw new Error(`systemd/fieldgate.service has no ${from}`);
    return text.replace(from, to);
  }, unit);
}
