import { errorFields } from "../base/errors.ts";
import type { Log } from "../base/log.ts";
import { Watched } from "../base/watchable.ts";
import { type EpochRows, readEpoch, writeEpoch } from "./epoch-row.ts";
import type { Role, RoleState } from "./role.ts";

/** A gateway without a site is its own primary, from its start on. Its epoch grows with each start. */
export class SoloElection implements Role {
  readonly #rows: EpochRows;
  readonly #log: Log;
  readonly #role = new Watched<RoleState>({ at: "standby" });
  #raising: Promise<void> = Promise.resolve();

  constructor(tools: { readonly rows: EpochRows; readonly log: Log }) {
    this.#rows = tools.rows;
    this.#log = tools.log;
  }

  get(): RoleState {
    return this.#role.get();
  }

  follow(follower: (role: RoleState) => void): () => void {
    return this.#role.follow(follower);
  }

  mayAct(): boolean {
    return this.#role.get().at === "primary";
  }

  mayUplink(): boolean {
    return this.mayAct();
  }

  /**
   * Primary as soon as the new epoch is on the disk.
   * @throws FieldgateError ERR_STORE_FORMAT when the row is damaged, or what the store throws
   */
  async start(): Promise<void> {
    await this.#raise((await readEpoch(this.#rows)) + 1);
  }

  async stop(): Promise<void> {
    await this.#raising;
    this.#role.set({ at: "standby" });
  }

  /** A receiver has seen that epoch before, as after an older copy of the disk was put in: goes on above it. */
  outdated(epoch: number): void {
    const role = this.#role.get();
    if (role.at !== "primary" || epoch < role.epoch) return;
    this.#role.set({ at: "fenced", epoch: role.epoch });
    this.#raising = this.#raise(epoch + 1).catch((error: unknown) => {
      this.#log.error("the epoch cannot be kept: not primary", errorFields(error));
      this.#role.set(role);
    });
  }

  async #raise(epoch: number): Promise<void> {
    await writeEpoch(this.#rows, epoch);
    this.#role.set({ at: "primary", epoch });
    this.#log.info("role", { role: "primary", epoch });
  }
}
