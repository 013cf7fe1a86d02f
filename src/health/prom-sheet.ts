import { Counter, Gauge, type Registry } from "prom-client";

export type Labels = Readonly<Record<string, string>>;
export type Samples = readonly (readonly [labels: Labels, value: number | null])[];

/** A registry that lives for one answer: the gateway counts, the registry only writes it down. */
export class Sheet {
  readonly #registry: Registry;

  constructor(registry: Registry) {
    this.#registry = registry;
  }

  gauge(name: string, help: string, samples: number | null | Samples): void {
    const { known, labelNames } = knownOf(samples);
    if (known.length === 0) return;
    const gauge = new Gauge({
      name: `fieldgate_${name}`,
      help,
      labelNames,
      registers: [this.#registry],
    });
    for (const [labels, value] of known) gauge.set(labels, value);
  }

  counter(name: string, help: string, samples: number | null | Samples): void {
    const { known, labelNames } = knownOf(samples);
    if (known.length === 0) return;
    const counter = new Counter({
      name: `fieldgate_${name}_total`,
      help,
      labelNames,
      registers: [this.#registry],
    });
    for (const [labels, value] of known) counter.inc(labels, value);
  }
}

function knownOf(samples: number | null | Samples) {
  const all: Samples = Array.isArray(samples) ? samples : [[{}, samples as number | null]];
  const known = all.filter((each): each is readonly [Labels, number] => each[1] !== null);
  return { known, labelNames: Object.keys(known[0]?.[0] ?? {}) };
}

/** One sample a name that was counted, with the name as the label. */
export function by(
  label: string,
  counts: Readonly<Record<string, number>>,
  fixed: Labels = {},
): Samples {
  return Object.entries(counts).map(([name, value]) => [{ ...fixed, [label]: name }, value]);
}

/** 1 for what is so. */
export function flag(is: boolean): number {
  return is ? 1 : 0;
}

export function seconds(ms: number | null): number | null {
  return ms === null ? null : ms / 1000;
}
