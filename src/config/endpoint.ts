/**
 * What is wrong with the URL of an endpoint whose scheme is known, or null. It names a host, perhaps a port, a user and a
 * password; it has no path and no query. The message repeats nothing of it, because it can hold a password.
 */
export function endpointMistake(endpoint: string): string | null {
  if (!URL.canParse(endpoint)) {
    return "is no URL: scheme://host:port, with the special characters of a user or password as %XX";
  }
  const url = new URL(endpoint);
  if (url.hostname === "") return "has no host: scheme://host:port";
  if (url.port === "0") return "has port 0";
  if (!["", "/"].includes(url.pathname) || url.search !== "" || url.hash !== "") {
    return "has something after the port: scheme://host:port is all, special characters of a password as %XX";
  }
  return null;
}

/** The user, "" when there is none, and whether a password stands in a URL that has no mistake. */
export function endpointUser(endpoint: string): { user: string; hasPassword: boolean } {
  const url = URL.canParse(endpoint) ? new URL(endpoint) : null;
  return { user: url?.username ?? "", hasPassword: (url?.password ?? "") !== "" };
}
