import { readFileSync } from "node:fs";
import type { FramingConfig } from "../../src/config/schema.ts";
import { framerFor } from "../../src/devices/framing.ts";

export const FRAMING: FramingConfig = {
  type: "lines",
  bytesMax: 1024,
  timeoutMs: 1000,
  check: "none",
};

export interface Heard {
  /** Frames in hexadecimal, refusals as `!reason`, in the order in which they came. */
  readonly said: string[];
  readonly framer: ReturnType<typeof framerFor>;
}

/** A framer and what it says. */
export function listen(config: Partial<FramingConfig>): Heard {
  const said: string[] = [];
  const framer = framerFor(
    { ...FRAMING, ...config },
    {
      frame: (bytes) => said.push(Buffer.from(bytes).toString("hex")),
      refuse: (reason) => said.push(`!${reason}`),
    },
  );
  return { said, framer };
}

/** A vector file of test/vectors. */
export function vectors<V>(name: string): readonly V[] {
  return JSON.parse(readFileSync(new URL(`../vectors/${name}.json`, import.meta.url), "utf8"))
    .vectors;
}

export interface FramingVector {
  readonly name: string;
  readonly framing: Partial<FramingConfig>;
  readonly frames: readonly string[];
  readonly wire: string;
}
