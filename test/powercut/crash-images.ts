import { closeSync, openSync, rmSync, writeSync } from "node:fs";
import type { Random } from "../../src/base/random.ts";
import type { BlockRecord, Write } from "./block-log.ts";
import { type Remains, type Split, survivors } from "./crash-state.ts";
import { copySparse } from "./disk-tools.ts";

/**
 * Puts together the disk as cuts left it. One image has everything that was flushed before the last cut asked for: cuts are
 * to be asked for in the order of what they have flushed, or the image begins again from the first.
 */
export class CrashImages {
  readonly #base: string;
  readonly #folder: string;
  readonly #records: readonly BlockRecord[];
  #applied = 0;
  #started = false;

  /** @param base the disk before the first record */
  constructor(base: string, folder: string, records: readonly BlockRecord[]) {
    this.#base = base;
    this.#folder = folder;
    this.#records = records;
  }

  /**
   * The path of an image. The next call makes another file of that name: a mount namespace that was made meanwhile, as a container
   * is, may still have this one mounted.
   */
  build({ flushed, cut }: Split, remains: Remains, random: Random): string {
    const medium = `${this.#folder}/medium.img`;
    if (!this.#started || flushed < this.#applied) {
      copySparse(this.#base, medium);
      this.#started = true;
      this.#applied = 0;
    }
    apply(medium, writesOf(this.#records.slice(this.#applied, flushed)));
    this.#applied = flushed;
    const image = `${this.#folder}/crash.img`;
    rmSync(image, { force: true });
    copySparse(medium, image);
    apply(image, survivors(writesOf(this.#records.slice(flushed, cut)), remains, random));
    return image;
  }
}

function writesOf(records: readonly BlockRecord[]): Write[] {
  return records.filter((record) => record.kind === "write");
}

function apply(image: string, patches: readonly { offset: number; bytes: Buffer }[]): void {
  const file = openSync(image, "r+");
  try {
    for (const { offset, bytes } of patches) writeSync(file, bytes, 0, bytes.length, offset);
  } finally {
    closeSync(file);
  }
}
