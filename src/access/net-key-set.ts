import { get as getHttp } from "node:http";
import { get as getHttps } from "node:https";
import { FieldgateError } from "../base/errors.ts";
import { KEYS_BYTES_MAX } from "./key-text.ts";

const FETCH_MS_MAX = 10_000;

/**
 * Fetches a JSON Web Key Set: one request, no redirects, within 10 s, at most 256 KiB.
 * @throws FieldgateError ERR_TOKEN_KEYS, also when the signal aborts
 */
export async function fetchKeys(
  url: string,
  ca: string | null,
  stopping: AbortSignal,
  msMax = FETCH_MS_MAX,
): Promise<string> {
  try {
    return await new Promise((resolve, reject) => {
      const options = {
        headers: { accept: "application/json" },
        signal: AbortSignal.any([stopping, AbortSignal.timeout(msMax)]),
        ...(ca === null ? {} : { ca }),
      };
      const get = url.startsWith("https:") ? getHttps : getHttp;
      const request = get(url, options, (response) => {
        if (response.statusCode !== 200) {
          request.destroy();
          reject(new Error(`answered with ${response.statusCode}`));
          return;
        }
        const chunks: Buffer[] = [];
        let bytes = 0;
        response.on("data", (chunk: Buffer) => {
          bytes += chunk.length;
          if (bytes <= KEYS_BYTES_MAX) chunks.push(chunk);
          else request.destroy(new Error(`answered with more than ${KEYS_BYTES_MAX} bytes`));
        });
        response.on("end", () => resolve(Buffer.concat(chunks).toString()));
        response.on("error", reject);
      });
      request.on("error", reject);
    });
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    const { host } = new URL(url);
    const message = `the keys of tokens cannot be fetched from ${host}: ${why}`;
    throw new FieldgateError("ERR_TOKEN_KEYS", message, { cause, details: { host } });
  }
}
