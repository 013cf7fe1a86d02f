import { withBroker } from "./broker.ts";
import { type Outcome, play } from "./oracle-play.ts";
import type { Step } from "./oracle-script.ts";

/** Plays a script against our broker. Its window is wide, because aedes, which it is compared with, has none. */
export async function playOnOurs(script: readonly Step[]): Promise<readonly Outcome[]> {
  let outcomes: readonly Outcome[] = [];
  await withBroker(
    async ({ port, broker }) => {
      const connections = () => broker.status().connections;
      outcomes = await play({ port, barriers: 1, connections }, script);
    },
    { inflightMax: 1000 },
  );
  return outcomes;
}
