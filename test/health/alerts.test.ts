import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { parser } from "@prometheus-io/lezer-promql";
import { parse } from "yaml";
import { CATALOGUE } from "../../src/cli/catalogue.ts";
import { configShape } from "../../src/config/schema.ts";
import { metricsOf } from "../../src/health/prom-metrics.ts";
import { METRIC_SOURCES } from "../support/metric-sources.ts";

const ROOT = join(import.meta.dirname, "../..");
const RULES = rules();
/** What Prometheus adds by itself. */
const SCRAPED = new Map([["up", ["job", "instance"]]]);

interface Rule {
  readonly alert: string;
  readonly expr: string;
  readonly labels: { readonly severity: string };
  readonly annotations: { readonly summary: string; readonly description: string };
}

describe("the alert rules of deploy/prometheus", () => {
  it("are written in PromQL", () => {
    for (const { alert, expr } of RULES) assert.deepEqual(faultsOf(expr), [], `${alert}: ${expr}`);
    assert.notDeepEqual(faultsOf("rate(fieldgate_up[5m) > 1"), [], "a fault would be seen");
  });

  it("ask for metrics and labels that the gateway has", async () => {
    const known = await labelsByMetric();
    for (const { alert, expr } of RULES) {
      for (const { metric, labels } of selectorsOf(expr)) {
        const has = known.get(metric) ?? SCRAPED.get(metric);
        assert.ok(has, `${alert} asks for ${metric}`);
        const missing = labels.filter((label) => !has.includes(label));
        assert.deepEqual(missing, [], `${alert}: labels of ${metric}`);
      }
    }
  });

  it("have a name of their own, a severity, and say what it means and where to look", () => {
    const names = RULES.map(({ alert }) => alert);
    assert.equal(new Set(names).size, names.length);
    for (const { alert, labels, annotations } of RULES) {
      assert.match(labels.severity, /^(warning|critical)$/, alert);
      assert.match(
        annotations.summary,
        /\{\{ \$labels\.(gateway|instance|site|device|listener) \}\}/,
      );
      assert.match(annotations.description, /\.$/, alert);
    }
  });

  it("name commands, checks and keys that are there", async () => {
    const text = RULES.map(({ annotations }) => annotations.description).join("\n");
    const named = [...text.matchAll(/`fieldgate ([a-z ]+[a-z])/g)].map(([, words]) => words ?? "");
    assert.ok(named.length > RULES.length / 2);
    for (const [name = "", action] of named.map((words) => words.split(" "))) {
      const command = await CATALOGUE[name]?.load();
      assert.ok(command, `fieldgate ${name}`);
      if (action !== undefined)
        assert.ok(command.command.actions?.includes(action), `${name} ${action}`);
    }
    const keys = [...text.matchAll(/`(\w+)\.(\w+)`/g)];
    assert.ok(keys.length > 0);
    for (const [, section = "", key = ""] of keys) {
      assert.ok(configShape.properties?.[section]?.properties?.[key], `${section}.${key}`);
    }
  });
});

describe("docs/monitoring.md", () => {
  it("lists every metric of /metrics with what it means, and no other", async () => {
    const text = await metricsOf(METRIC_SOURCES);
    const help = [...text.matchAll(/^# HELP (\S+) (.*)$/gm)].map(
      ([, name, about]) => `${name}: ${about}`,
    );
    const page = readFileSync(join(ROOT, "docs/monitoring.md"), "utf8");
    const rows = [...page.matchAll(/^\| `(fieldgate_\w+)` \| (.*) \|$/gm)];
    assert.deepEqual(
      rows.map(([, name, about]) => `${name}: ${about}`).toSorted(),
      help.toSorted(),
    );
  });
});

function rules(): readonly Rule[] {
  const text = readFileSync(join(ROOT, "deploy/prometheus/alerts.yaml"), "utf8");
  const file: { readonly groups: readonly { readonly rules: readonly Rule[] }[] } = parse(text);
  return file.groups.flatMap((group) => group.rules);
}

/** Where the grammar does not fit. */
function faultsOf(expr: string): readonly number[] {
  const faults: number[] = [];
  parser.parse(expr).iterate({
    enter: ({ type, from }) => {
      if (type.isError) faults.push(from);
    },
  });
  return faults;
}

function selectorsOf(expr: string): readonly { metric: string; labels: string[] }[] {
  const found: { metric: string; labels: string[] }[] = [];
  parser.parse(expr).iterate({
    enter: ({ name, from, to, node }) => {
      const text = expr.slice(from, to);
      const isIn = (parent: string) => node.parent?.name === parent;
      if (name === "Identifier" && isIn("VectorSelector")) found.push({ metric: text, labels: [] });
      if (name === "LabelName" && isIn("UnquotedLabelMatcher")) found.at(-1)?.labels.push(text);
    },
  });
  assert.ok(found.length > 0, expr);
  return found;
}

async function labelsByMetric(): Promise<Map<string, readonly string[]>> {
  const known = new Map<string, readonly string[]>();
  for (const line of (await metricsOf(METRIC_SOURCES)).split("\n")) {
    const [, name, labels] = /^(fieldgate_\w+)\{(.*)\} \S+$/.exec(line) ?? [];
    if (name === undefined) continue;
    known.set(
      name,
      [...(labels ?? "").matchAll(/(\w+)="/g)].map(([, label]) => label ?? ""),
    );
  }
  return known;
}
