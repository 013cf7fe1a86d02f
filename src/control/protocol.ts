/**
 * The control protocol: HTTP/1.1 over a unix socket. `GET /v1/NAME?…` asks, `POST /v1/NAME` with a JSON object changes
 * something. An answer is one JSON value, or, when it goes on for as long as the caller listens, one JSON value a line
 * (application/x-ndjson). An error is an object with `error`, and `code` when it is one of docs/errors.md.
 */
export interface ControlQuestion {
  readonly query: URLSearchParams;
  /** Of a POST; an empty object for a GET. */
  readonly body: Readonly<Record<string, unknown>>;
  /** Aborts when the caller is gone. */
  readonly signal: AbortSignal;
}

/** Answers with a value, or with values one by one. A FieldgateError is told to the caller with its code. */
export type ControlRoute = (
  question: ControlQuestion,
) => unknown | Promise<unknown> | AsyncIterable<unknown>;

/** What can be asked: by method and path below /v1/. */
export type ControlRoutes = Readonly<Record<`${"GET" | "POST"} ${string}`, ControlRoute>>;

export const BODY_BYTES_MAX = 2 ** 20;

/** HTTP status of an answer that is a FieldgateError. */
export const REFUSED = 400;
