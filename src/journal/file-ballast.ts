import { randomBytes } from "node:crypto";
import { open, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { syncDirectory } from "./file-store.ts";

const CHUNK_BYTES = 2 ** 18;

/**
 * A file that only takes room. When the disk is full it is deleted, so that acknowledgements, deletes and trims can still be
 * written; when there is room again it is made again. It is written in full with bytes that no file system makes smaller.
 *
 *     absent ──make──▶ making ──▶ ready ──release──▶ absent
 */
export class Ballast {
  readonly #directory: string;
  readonly #path: string;
  readonly #bytes: number;
  #at: "absent" | "making" | "ready" = "absent";
  #making: Promise<boolean> = Promise.resolve(false);
  #releasing: Promise<unknown> = Promise.resolve();

  constructor(directory: string, bytes: number) {
    this.#directory = directory;
    this.#path = join(directory, "ballast");
    this.#bytes = bytes;
  }

  get at(): "absent" | "making" | "ready" {
    return this.#at;
  }

  /** Bytes that it has when it is ready. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Makes it where it is not there whole. Resolves with whether it is there now; it never throws for want of room. */
  make(signal: AbortSignal): Promise<boolean> {
    if (this.#at !== "absent") return this.#making;
    this.#at = "making";
    const made = this.#releasing.then(() => this.#make(signal)).catch(() => this.#drop());
    this.#making = made.then((isMade) => {
      this.#at = isMade ? "ready" : "absent";
      return isMade;
    });
    return this.#making;
  }

  /** Gives up its room. True when there was some to give up. */
  async release(): Promise<boolean> {
    const making = this.#making;
    const released = (async () => {
      await making;
      this.#at = "absent";
      const file = await stat(this.#path).catch(() => null);
      await rm(this.#path, { force: true });
      return file !== null && file.blocks > 0;
    })();
    if (this.#at === "ready") this.#at = "absent";
    this.#releasing = released.catch(() => {});
    return await released;
  }

  async #make(signal: AbortSignal): Promise<boolean> {
    if (await this.#isWhole()) return true;
    if (this.#bytes === 0) return true;
    const partial = `${this.#path}.part`;
    const file = await open(partial, "w", 0o640);
    try {
      const chunk = randomBytes(CHUNK_BYTES);
      for (let at = 0; at < this.#bytes; at += CHUNK_BYTES) {
        if (signal.aborted) return await this.#drop();
        chunk.writeDoubleBE(at, 0);
        await file.write(chunk, 0, Math.min(CHUNK_BYTES, this.#bytes - at), at);
        await file.datasync();
      }
    } finally {
      await file.close();
    }
    await rename(partial, this.#path);
    await syncDirectory(this.#directory, 0);
    return true;
  }

  async #isWhole(): Promise<boolean> {
    const file = await stat(this.#path).catch(() => null);
    if (file === null) return false;
    return file.size === this.#bytes && file.blocks * 512 >= this.#bytes;
  }

  async #drop(): Promise<boolean> {
    await rm(`${this.#path}.part`, { force: true }).catch(() => {});
    return false;
  }
}
