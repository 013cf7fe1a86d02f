/** The first page of help. */
export function helpText(): string {
  return `fieldgate: MQTT broker for gateways at the edge

Usage: fieldgate COMMAND [ARGUMENTS] [OPTIONS]

Commands:
  run              run the gateway in the foreground
  status           what a running gateway does, on one screen
  doctor           what is wrong, why, and what to do
  uplink route     what happens to the messages of a topic, and why
  ledger           prove that nothing has gone missing
  site             the gateways of the site, and who is primary
  site hand-over   make another gateway primary
  site init        make the certificate authority of a site
  site enroll      make the certificate of a gateway
  config check     check a configuration file
  config show      show a configuration with all defaults, without secrets

Options:
  -c, --config FILE   configuration (default /etc/fieldgate/fieldgate.yaml)
      --socket PATH   control socket of the gateway to ask (default: that of the configuration)
      --json          machine-readable output
  -h, --help          help, also of a command: fieldgate status --help
      --version       version

Exit codes: 0 fine, 1 warning, 2 critical, 3 unknown
`;
}
