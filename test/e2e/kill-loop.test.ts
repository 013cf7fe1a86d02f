import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { it } from "node:test";
import { acknowledgements, booksAt } from "../powercut/books.ts";
import { CloudEnd } from "../powercut/cloud-end.ts";
import { FieldgateBroker } from "../powercut/fieldgate-broker.ts";
import { emptyBooks, Load, PUBLISHERS } from "../powercut/load.ts";
import { recover } from "../powercut/recovery.ts";
import { faults, judge } from "../powercut/verdict.ts";
import { seededRandom } from "../support/random.ts";
import { until } from "../support/until.ts";

const SEED = Number(process.env["SEED"] ?? Math.floor(Math.random() * 2 ** 31));
const ROUNDS = process.env["FIELDGATE_TEST_LONG"] ? 200 : 8;
const MESSAGES = 60;
/** Everything that the gateway has for anybody is fetched after so many kills, so that queues outlive several. */
const FETCH_EVERY = 4;
const EVER = Number.MAX_SAFE_INTEGER;

it(`keeps what it has acknowledged though it is killed ${ROUNDS} times under load (SEED=${SEED})`, async (t) => {
  const random = seededRandom(SEED);
  const directory = await mkdtemp(join(tmpdir(), "fieldgate-kill-"));
  const cloud = await CloudEnd.start();
  const bytesMax = 64 * 2 ** 20;
  const gateway = new FieldgateBroker(directory, { durability: "local", bytesMax, cloud });
  const books = emptyBooks();
  let moment = 0;
  const position = () => ++moment;
  cloud.arrivals = books.cloud;
  cloud.position = position;
  const load = new Load(books, position, random);
  let repeated = 0;
  try {
    for (let round = 1; round <= ROUNDS; round++) {
      cloud.away = random() < 0.3;
      const port = await gateway.start(join(directory, "store"));
      const going = load.round(port, round, MESSAGES);
      const goal = load.published + PUBLISHERS * MESSAGES * (0.1 + 0.8 * random());
      await until("the load goes on", () => load.published >= goal);
      await gateway.kill();
      await going;
      await load.ended();
      if (round % FETCH_EVERY === 0 || round === ROUNDS) repeated = await fetchAndJudge(round);
    }
    t.diagnostic(
      `${acknowledgements(books).length} acknowledgements over ${ROUNDS} kills: all kept`,
    );
    t.diagnostic(`${repeated} messages of QoS 1 came again, of QoS 2 none`);
  } finally {
    await gateway.kill();
    await cloud.stop();
    await rm(directory, { recursive: true, force: true });
  }

  async function fetchAndJudge(round: number): Promise<number> {
    const before = booksAt(books, EVER);
    cloud.away = false;
    const port = await gateway.start(join(directory, "store"));
    const found = await recover(books, gateway, port, position);
    const identities = new Set(books.cloud.map(({ identity }) => identity)).size;
    const imbalance = await gateway.imbalance(identities);
    const verdict = judge(before, books, found, acknowledgements(before).length);
    const hint = `SEED=${SEED}, after kill ${round}`;
    assert.deepEqual(faults(verdict), [], hint);
    assert.equal(imbalance, null, hint);
    assert.deepEqual(gateway.reports(), [], hint);
    await gateway.kill();
    return verdict.repeated;
  }
});
