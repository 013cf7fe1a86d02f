/** What a browser says of the page whose script connects, and what is known of the connection. */
export interface Asking {
  /** Missing from programs that are no browsers. */
  readonly origin: string | undefined;
  readonly host: string | undefined;
  readonly loopback: boolean;
}

/**
 * Whether the page may connect (RFC 6455, section 10.2). A browser takes a script of any page anywhere to this machine, with the
 * certificate of its user and from loopback, where nobody is asked who they are; but it says whose page it is. Those may that come
 * from the host that they ask, on whatever port, and those that are listed; on loopback that host must be called what this
 * machine calls itself, or anybody's page could have its own name lead here. Who is no browser says nothing.
 */
export function mayConnect({ origin, host, loopback }: Asking, listed: readonly string[]): boolean {
  if (origin === undefined || listed.includes("*")) return true;
  if (listed.some((each) => each.toLowerCase() === origin.toLowerCase())) return true;
  const asked = host === undefined ? null : hostName(`http://${host}`);
  if (asked === null || hostName(origin) !== asked) return false;
  return !loopback || OWN_NAME.test(asked);
}

const OWN_NAME = /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])$/;

/** In lower case; null when there is none. */
function hostName(url: string): string | null {
  if (!URL.canParse(url)) return null;
  const { hostname } = new URL(url);
  return hostname === "" ? null : hostname;
}
