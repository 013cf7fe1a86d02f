import { open, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import type { NoteName, StoreNotes } from "./store.ts";

/**
 * Small files beside the store. One may be old, torn or gone after a crash: who reads it checks it, and does without. Written in
 * place, because more is not needed.
 */
export class FileNotes implements StoreNotes {
  readonly #path: string;

  constructor(path: string) {
    this.#path = path;
  }

  async get(name: NoteName): Promise<Buffer | null> {
    return await readFile(this.#file(name)).catch(() => null);
  }

  async put(name: NoteName, bytes: Buffer, sync: boolean): Promise<void> {
    try {
      const file = await open(this.#file(name), "w", 0o640);
      try {
        await file.write(bytes);
        if (sync) await file.datasync();
      } finally {
        await file.close();
      }
    } catch {
      // A disk that is full or read-only: then there is no note.
    }
  }

  async drop(name: NoteName): Promise<void> {
    await rm(this.#file(name), { force: true }).catch(() => {});
  }

  #file(name: NoteName): string {
    return join(this.#path, `journal.${name}`);
  }
}
