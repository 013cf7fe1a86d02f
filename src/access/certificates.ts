import { isUserName } from "./principal.ts";

/** Whom a client's certificate names. */
export interface CertificateNames {
  readonly commonName: string | null;
  readonly altNames: readonly string[];
}

export interface CertificateRoles {
  /** A name; * stands for any characters. */
  readonly match: string;
  readonly roles: readonly string[];
}

/** The user's name that a certificate gives; null when it gives none. */
export function certificateUser(
  { commonName, altNames }: CertificateNames,
  from: "common-name" | "alt-name",
): string | null {
  const name = from === "common-name" ? commonName : (altNames[0] ?? null);
  return name !== null && isUserName(name) ? name : null;
}

/** The roles of all lines that match the name. */
export function certificateRoles(name: string, lines: readonly CertificateRoles[]): string[] {
  return lines.filter(({ match }) => matches(match.split("*"), name)).flatMap(({ roles }) => roles);
}

/** In time that grows with the length of the name, whatever the pattern. */
function matches([first = "", ...rest]: readonly string[], name: string): boolean {
  const last = rest.pop();
  if (last === undefined) return name === first;
  if (!name.startsWith(first) || name.length < first.length + last.length) return false;
  let at = first.length;
  for (const part of rest) {
    const found = name.indexOf(part, at);
    if (found === -1) return false;
    at = found + part.length;
  }
  return name.endsWith(last) && name.length - last.length >= at;
}
