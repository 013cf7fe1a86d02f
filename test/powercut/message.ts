/** What a publisher's message n says, worked out from who publishes it and n, so that any mix-up or damage shows. */
export function payloadOf(id: string, n: number): string {
  const key = `${id}/${n}`;
  let mixed = n + 1;
  for (const char of id) mixed = (Math.imul(mixed, 31) + char.charCodeAt(0)) >>> 0;
  const length = PADDING_MIN + (mixed % PADDING_SPREAD);
  return `${key} ${String(mixed).repeat(Math.ceil(length / String(mixed).length))}`;
}

const PADDING_MIN = 20;
const PADDING_SPREAD = 900;
const TOPICS = 3;

export function topicOf(id: string, n: number): string {
  return `pc/${id}/${n % TOPICS}`;
}

/** All topics of numbered messages and wills. */
export const ALL = "pc/#";

/** Which message a payload is, and whether it is that one byte for byte. */
export function identify(payload: string): { readonly key: string; readonly isWhole: boolean } {
  const key = payload.split(" ", 1)[0] as string;
  const [id, n] = key.split("/");
  const isWhole = id !== undefined && n !== undefined && payload === payloadOf(id, Number(n));
  return { key, isWhole };
}

/** Publisher and number of a key. */
export function parseKey(key: string): { readonly id: string; readonly n: number } {
  const [id = "", n] = key.split("/");
  return { id, n: Number(n) };
}
