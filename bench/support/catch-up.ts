import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startEtcd } from "../../test/support/etcd.ts";
import { SiteGateway } from "../../test/support/site-gateway.ts";
import { until } from "../../test/support/until.ts";
import { Loaded } from "./journal-load.ts";

const BATCH = 1000;
const CATCH_UP_MS_MAX = 240_000;

/** Messages a second at which a real gateway takes so many that another one has and it lacks, from its hello until they are on its disk. */
export async function catchUpPerSecond(messages: number): Promise<number> {
  const directory = await mkdtemp(join(tmpdir(), "fieldgate-catch-up-"));
  const etcd = await startEtcd();
  // Nothing leaves for the cloud, so nothing is trimmed.
  const options = { directory, endpoints: etcd.endpoints, cloudPort: 1 };
  const [has, lacks] = ["gw-a", "gw-b"].map((id) => new SiteGateway(options, id)) as [
    SiteGateway,
    SiteGateway,
  ];
  try {
    await fill(has.store, messages);
    await has.start();
    const { durableSeq, id } = (await has.status()).journal;
    await lacks.start();
    await lacks.program.line("a peer copies its journal to us");
    const beganMs = performance.now();
    const copied = async () => {
      const { replication } = await lacks.status();
      return replication?.replicas.find(({ journal }) => journal === id)?.seq ?? 0;
    };
    await until("it has caught up", async () => (await copied()) >= durableSeq, CATCH_UP_MS_MAX);
    return (messages / (performance.now() - beganMs)) * 1000;
  } finally {
    for (const { program } of [has, lacks]) await program.kill();
    await etcd.end();
    await rm(directory, { recursive: true, force: true });
  }
}

async function fill(path: string, messages: number): Promise<void> {
  const loaded = await Loaded.start(path);
  loaded.session.drop();
  for (const lane of ["alarm", "telemetry", "bulk"]) loaded.journal.cursor(`uplink/${lane}`);
  for (let n = 0; n < messages; n += BATCH) await loaded.grow(BATCH, []);
  loaded.journal.forgetCursor("reader");
  await loaded.journal.committed();
  await loaded.journal.stop();
}
