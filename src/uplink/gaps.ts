import { added, type Counts, grown, totalOf } from "../base/counts.ts";
import { errorFields, FieldgateError } from "../base/errors.ts";
import type { Log } from "../base/log.ts";
import { isoTime } from "../base/wall-time.ts";
import { GAP_TOPIC } from "./own-topics.ts";
import { cursorName, type GatewayIdentity, LANES, type LaneName } from "./rules.ts";
import type { Source, SourceCursor, SourceRows } from "./source.ts";
import type { Loss } from "./window.ts";

export interface GapTools {
  readonly journal: Source;
  readonly rows: SourceRows;
  readonly identity: GatewayIdentity;
  readonly log: Log;
  readonly wallMs: () => number;
}

/**
 * Tells the cloud what a lane has lost, so that silence means that nothing happened.
 *
 *   owed = what the lane's cursor has counted as dropped − what was told
 *
 * While something is owed, a record of it is put into the lane, where it stands behind what was lost and before what
 * comes next. Record, cursor and the row of what was told become durable in one commit: after a crash nothing is told twice or
 * forgotten. Drops that others have counted at the cursor are told too. When the store has no room, the debt waits.
 *
 * A record that is itself lost is not told of again: a cloud that refuses them would otherwise be asked for ever.
 */
export class Gaps {
  readonly #lane: LaneName;
  readonly #tools: GapTools;
  readonly #cursor: SourceCursor;
  #told: Counts = {};
  /** The cursor's counts when nothing was owed. */
  #settled: Counts | null = null;
  /** Everything lost up to here was told. */
  #toldSeq = 0;
  /** What is owed, as far as it happened in this run. */
  #loss: Loss | null = null;
  #lossCount = 0;
  #failed = false;

  constructor(lane: LaneName, tools: GapTools) {
    this.#lane = lane;
    this.#tools = tools;
    this.#cursor = tools.journal.cursor(cursorName(lane));
  }

  /** Reads what was told. A row that cannot be read counts as absent: then something is told twice. */
  async load(): Promise<void> {
    const row = await this.#tools.rows.get(this.#key);
    if (row === undefined) return;
    const { told, seq } = JSON.parse(Buffer.from(row).toString()) as { told: Counts; seq: number };
    this.#told = told;
    this.#toldSeq = seq;
  }

  /** After the cursor has moved, in the same turn. `loss` is what was lost by that move. */
  settled(loss: Loss | null): void {
    if (loss !== null) {
      this.#told = added(this.#told, loss.records);
      this.#loss = this.#loss === null ? loss : { ...loss, first: this.#loss.first };
      this.#lossCount += totalOf(grown(loss.dropped, loss.records));
    }
    const { dropped } = this.#cursor;
    if (dropped === this.#settled) return;
    const owed = grown(dropped, this.#told);
    if (Object.keys(owed).length > 0 && !this.#tell(owed)) return;
    this.#settled = dropped;
  }

  #tell(owed: Counts): boolean {
    const { journal, log, wallMs } = this.#tools;
    const payload = Buffer.from(JSON.stringify(this.#record(owed)));
    try {
      journal.append(
        { topic: GAP_TOPIC, payload, qos: 1, retain: false, properties: null },
        LANES[this.#lane],
        wallMs(),
        [],
      );
    } catch (error) {
      if (!(error instanceof FieldgateError)) throw error;
      if (!this.#failed)
        log.warn("a loss cannot be told yet", { lane: this.#lane, ...errorFields(error) });
      this.#failed = true;
      return false;
    }
    this.#failed = false;
    this.#loss = null;
    this.#lossCount = 0;
    this.#told = { ...this.#cursor.dropped };
    this.#toldSeq = this.#cursor.seq;
    const row = Buffer.from(JSON.stringify({ told: this.#told, seq: this.#toldSeq }));
    this.#tools.rows.put(this.#key, row).catch((error) => {
      log.warn("what was told of losses is not on disk", errorFields(error));
    });
    return true;
  }

  /** The payload. Of losses before this run it is only known that they lie behind what was told before. */
  #record(owed: Counts): object {
    const { journal, identity } = this.#tools;
    const loss = this.#lossCount === totalOf(owed) ? this.#loss : null;
    const [firstSeq, lastSeq] =
      loss === null ? [this.#toldSeq + 1, this.#cursor.seq] : [loss.first.seq, loss.last.seq];
    const times =
      loss === null
        ? {}
        : { firstTime: isoTime(loss.first.wallMs), lastTime: isoTime(loss.last.wallMs) };
    return {
      ...identity,
      journal: journal.id,
      lane: this.#lane,
      dropped: owed,
      firstSeq,
      lastSeq,
      ...times,
      droppedEver: this.#cursor.dropped,
    };
  }

  get #key(): string {
    return `gap/${this.#lane}`;
  }
}
