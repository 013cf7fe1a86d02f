interface Opened {
  readonly identity: Readonly<Record<string, string>>;
  readonly payload: Uint8Array;
}

/** What the cloud's side is given. It is no part of the program, so no types are declared for it. */
export const READER = "deploy/cloud/read-envelope.mjs";

const reader = (await import(`../../${READER}`)) as {
  openEnvelope(bytes: Uint8Array): Opened | null;
};

export const openEnvelope = reader.openEnvelope;
