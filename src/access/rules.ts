import { FilterTree } from "../mqtt/filter-tree.ts";
import { shareOf } from "../mqtt/share.ts";
import type { Principal } from "./principal.ts";

/** A role as the configuration has it. */
export interface RoleOptions {
  readonly name: string;
  readonly publish: Filters;
  readonly subscribe: Filters;
}

interface Filters {
  readonly allow: readonly string[];
  readonly deny: readonly string[];
}

export type Action = "publish" | "subscribe";
export type Effect = "allow" | "deny";

/** One filter of one role. */
export interface Rule {
  readonly role: string;
  readonly action: Action;
  readonly effect: Effect;
  /** As it stands in the configuration, with its variables. */
  readonly filter: string;
}

/** Whom a rule is asked about. */
export interface Subject {
  readonly clientId: string;
  readonly principal: Principal;
}

/** What was decided, and by which rule; without one nothing allows it. */
export interface Decision {
  readonly allowed: boolean;
  readonly rule: Rule | null;
}

/** The role of those who may do everything that no other role of theirs denies. One of this name cannot be configured. */
export const EVERYTHING = "everything";

const ALL = { role: EVERYTHING, effect: "allow", filter: "every topic" } as const;
const ALL_RULES = {
  "allow publish": { ...ALL, action: "publish" },
  "allow subscribe": { ...ALL, action: "subscribe" },
} as const;

/**
 * The rules of all roles, compiled: one tree for each action and effect, asked once for a topic, whatever the number of
 * rules. A level with a variable stands in the tree as `+`; what the topic has there is compared with the variable's value
 * afterwards. So one tree serves all clients, and no client id can be a pattern.
 *
 * A rule that denies wins over any that allows; what no rule allows is denied.
 */
export class Rules {
  readonly #trees: Readonly<Record<`${Effect} ${Action}`, FilterTree<CompiledRule, true>>> = {
    "allow publish": new FilterTree(),
    "deny publish": new FilterTree(),
    "allow subscribe": new FilterTree(),
    "deny subscribe": new FilterTree(),
  };
  readonly #names = new Set([EVERYTHING]);

  constructor(roles: readonly RoleOptions[]) {
    for (const role of roles) {
      this.#names.add(role.name);
      for (const action of ["publish", "subscribe"] as const) {
        for (const effect of ["allow", "deny"] as const) {
          for (const filter of role[action][effect]) {
            const rule = compiled({ role: role.name, action, effect, filter });
            this.#trees[`${effect} ${action}`].set(rule.plain, rule, true);
          }
        }
      }
    }
  }

  has(role: string): boolean {
    return this.#names.has(role);
  }

  /** Whether a message to `topic` may come from a client (publish), or go to one that subscribed to it (subscribe). */
  decide(subject: Subject, action: Action, topic: string): Decision {
    const levels = topic.split("/");
    const ask: Ask = (tree, found) => tree.match(topic, found);
    const deny = this.#find(`deny ${action}`, { subject, levels, ask, meets: false });
    if (deny !== null) return { allowed: false, rule: deny };
    const allow = this.#find(`allow ${action}`, { subject, levels, ask, meets: false });
    return { allowed: allow !== null, rule: allow };
  }

  /**
   * Whether a filter may be subscribed to: when a rule that allows contains it, and none that denies does. Of a shared
   * subscription whoever comes first gets a message, so there nothing may be denied that the filter matches.
   */
  decideFilter(subject: Subject, asked: string): Decision {
    const share = shareOf(asked);
    const filter = share?.filter ?? asked;
    const levels = filter.split("/");
    const containing: Ask = (tree, found) => tree.containing(filter, found);
    const meeting: Ask = (tree, found) => tree.meeting(filter, found);
    const meets = share !== null;
    const strict = { subject, levels, ask: meets ? meeting : containing, meets };
    const deny = this.#find("deny subscribe", strict);
    if (deny !== null) return { allowed: false, rule: deny };
    const allow = this.#find("allow subscribe", { subject, levels, ask: containing, meets: false });
    return { allowed: allow !== null, rule: allow };
  }

  /** The first of the rules of the subject's roles that is found and whose variables have the right values. */
  #find(kind: `${Effect} ${Action}`, question: Question): Rule | null {
    const { subject, ask } = question;
    const isAll = kind !== "deny publish" && kind !== "deny subscribe";
    if (isAll && subject.principal.roles.includes(EVERYTHING)) return ALL_RULES[kind];
    let first: Rule | null = null;
    ask(this.#trees[kind], (rule) => {
      if (first !== null || !subject.principal.roles.includes(rule.role)) return;
      if (rule.variables.every((each) => fits(each, rule.effect, question))) first = rule;
    });
    return first;
  }
}

type Ask = (
  tree: FilterTree<CompiledRule, true>,
  found: (rule: CompiledRule, value: true) => void,
) => void;

interface Question {
  readonly subject: Subject;
  /** Of the topic or filter that is asked about. */
  readonly levels: readonly string[];
  readonly ask: Ask;
  /** Whether one topic in common is enough. */
  readonly meets: boolean;
}

interface CompiledRule extends Rule {
  /** The filter with `+` for each level that has a variable. */
  readonly plain: string;
  readonly variables: readonly VariableLevel[];
}

interface VariableLevel {
  readonly index: number;
  /** Text and names of variables in turn, text first: `a-{user}` is ["a-", "user", ""]. */
  readonly parts: readonly string[];
}

/** {clientId}, {user}, or the name of a claim. */
const VARIABLE = /\{([^{}/+#]+)\}/;

function compiled(rule: Rule): CompiledRule {
  const levels = rule.filter.split("/");
  const variables = levels.flatMap((level, index) => {
    const parts = level.split(VARIABLE);
    return parts.length === 1 ? [] : [{ index, parts }];
  });
  const plain = levels.map((level) => (VARIABLE.test(level) ? "+" : level)).join("/");
  return { ...rule, plain, variables };
}

/**
 * Whether a level is what the variables make of it. A value that could be a pattern or more than one level is no value: then
 * nothing is allowed by it, and everything denied that any value would deny.
 */
function fits(
  { index, parts }: VariableLevel,
  effect: Effect,
  { subject, levels, meets }: Question,
): boolean {
  const level = levels[index];
  if (meets && (level === undefined || level === "+" || level === "#")) return true;
  let text = "";
  for (const [at, part] of parts.entries()) {
    const value = at % 2 === 0 ? part : variable(part, subject);
    if (value === null) return effect === "deny";
    text += value;
  }
  return level === text;
}

function variable(name: string, { clientId, principal }: Subject): string | null {
  const { user, claims } = principal;
  const known: Record<string, string | null> = { __proto__: null, ...claims, clientId, user };
  const value = known[name] ?? "";
  return value === "" || /[+#/\0]/.test(value) ? null : value;
}
