/**
 * What access control costs: `npm run bench -- access [--seconds N] [--rounds N] [--rules N]`
 *
 * The same program twice at the same time, loaded in turns by the same generator: once with no rules, as clients on loopback are
 * by default, and once with so many rules in five roles, half of them with variables, of which one allows what is published.
 */
import { parseArgs } from "node:util";
import { type Subject, startOurs } from "./support/brokers.ts";
import { figure, inTurns, median, table } from "./support/figures.ts";
import { type Load, mqload } from "./support/mqload.ts";
import { Targets } from "./support/targets.ts";

const { values } = parseArgs({
  options: {
    seconds: { type: "string", default: "3" },
    rounds: { type: "string", default: "7" },
    rules: { type: "string", default: "1000" },
  },
});
const rounds = Number(values.rounds);
const WIDE = { inflightMax: 1000 };
const LOADS: readonly (readonly [name: string, load: readonly (string | number)[]])[] = [
  ["QoS 0, 8 to 8", ["-m", "pair", "-P", 8, "-q", 0]],
  ["QoS 1, 8 to 8", ["-m", "pair", "-P", 8, "-q", 1]],
  ["QoS 1, 100 to 1", ["-m", "fanin", "-P", 100, "-q", 1]],
];

const targets = new Targets();
const subjects: Subject[] = [];
try {
  subjects.push(await startOurs("fast", WIDE));
  subjects.push(await startOurs("fast", WIDE, rulesOf(Number(values.rules))));
  const rows = [
    ["messages received a second", "without", `${values.rules} rules`, "cost", "worst pair"],
  ];
  for (const [name, load] of LOADS) {
    const results = await inTurns(subjects, rounds, ({ port }) =>
      mqload("-p", port, ...load, "-t", Number(values.seconds)),
    );
    const { costs, rates } = compared(results);
    const [cost, worst] = [median(costs), Math.max(...costs)].map((share) => 100 * share);
    rows.push([name, ...rates.map(figure), `${cost?.toFixed(1)} %`, `${worst?.toFixed(1)} %`]);
    targets.atMost(`${name}: cost of the rules`, cost ?? Number.NaN, 10, " %");
  }
  console.log(`${values.seconds} s, ${rounds} pairs, medians\n\n${table(rows)}`);
  targets.print();
} finally {
  await Promise.all(subjects.map((subject) => subject.end()));
}

/** What each pair of turns lost, and the medians of both. */
function compared([without = [], ruled = []]: readonly (readonly Load[])[]) {
  const costs = without.map((each, i) => 1 - (ruled[i]?.recv_s ?? 0) / each.recv_s);
  const rates = [without, ruled].map((loads) => median(loads.map(({ recv_s }) => recv_s)));
  return { costs, rates };
}

function rulesOf(count: number) {
  const names = ["a", "b", "c", "d", "e"];
  const roles = names.map((name, role) => {
    const filters = Array.from({ length: Math.ceil((count - 2) / 10) }, (_, i) =>
      i % 2 === 0 ? `plant/${role}/${i}/+/x` : `plant/${role}/${i}/{clientId}/#`,
    );
    const own = role === 4 ? ["bench/#"] : [];
    return {
      name,
      publish: { allow: [...filters, ...own] },
      subscribe: { allow: [...filters, ...own] },
    };
  });
  return { roles, loopbackRoles: names };
}
