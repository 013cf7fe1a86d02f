import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { QoS } from "../../src/mqtt/message.ts";
import { withAedes } from "../support/oracle-aedes.ts";
import { playOnOurs } from "../support/oracle-ours.ts";
import { type Outcome, play } from "../support/oracle-play.ts";
import type { Said, Step } from "../support/oracle-script.ts";

/** A message as it should come: topic, payload, QoS, and the flags that are set. */
type Came = readonly [topic: string, payload: string, qos: QoS, flags?: string];

interface Fault {
  /** As in test/support/oracle-faults.ts and oracle-script.ts, and what is right. */
  readonly name: string;
  readonly script: readonly Step[];
  /** What the last step is to bring to `sub`. */
  readonly brings: readonly Came[];
  /** What the last step is to be answered, where that matters. */
  readonly answer?: unknown;
}

/** `sub` subscribes, `pub` publishes. */
const FAULTS: readonly Fault[] = [
  {
    name: "wildcard: the QoS of a subscription with a wildcard holds [MQTT-3.8.4-6]",
    script: [connect("pub"), connect("sub"), subscribe("a/+ 1"), publish("a/b x 2")],
    brings: [["a/b", "x", 1]],
  },
  {
    name: "wildcard: and for what was queued",
    script: [connect("pub"), keep(), subscribe("a/b 1"), drop(), publish("a/b x 2"), keep()],
    brings: [["a/b", "x", 1]],
  },
  {
    name: "wildcard: and for retained messages",
    script: [connect("pub"), connect("sub"), publish("a/b x 1 retain"), subscribe("a/+ 0")],
    brings: [["a/b", "x", 0, "retain"]],
  },
  {
    name: "overlap: a message comes at the highest QoS of the filters that match [MQTT-3.3.5-1]",
    script: [connect("pub"), connect("sub"), subscribe("a/# 0", "a/b 2"), publish("a/b x 2")],
    brings: [["a/b", "x", 2]],
  },
  {
    name: "overlap, queued: a message comes once, however many filters match",
    script: [
      connect("pub"),
      keep(),
      subscribe("a/# 1", "a/b 1"),
      drop(),
      publish("a/b x 1"),
      keep(),
    ],
    brings: [["a/b", "x", 1]],
  },
  {
    name: "overlap, QoS 2: and its PUBREC does not end the connection",
    script: [
      connect("pub"),
      keep(),
      subscribe("a/# 2", "a/b 2"),
      drop(),
      publish("a/b x 2"),
      keep(),
    ],
    brings: [["a/b", "x", 2]],
  },
  {
    name: "overlap, burst: a burst to a persistent session with overlapping filters ends nothing",
    script: [connect("pub"), keep(), subscribe("a/# 1", "a/b 1"), publish("a/b 1 1", "a/b 2 1")],
    brings: [
      ["a/b", "1", 1],
      ["a/b", "2", 1],
    ],
  },
  {
    name: "retain, queued: what waited leaves without RETAIN [MQTT-3.3.1-9]",
    script: [connect("pub"), keep(), subscribe("a 1"), drop(), publish("a x 1 retain"), keep()],
    brings: [["a", "x", 1]],
  },
  {
    name: "$ topics: # does not stand for them in a queue [MQTT-4.7.2-1]",
    script: [connect("pub"), keep(), subscribe("# 1"), drop(), publish("$own/a x 1"), keep()],
    brings: [],
  },
  {
    name: "$ topics: nor beside a filter of QoS 0 that matches, for which nothing waits",
    script: [
      connect("pub"),
      keep(),
      subscribe("# 1", "$own/# 0"),
      drop(),
      publish("$own/a x 1"),
      keep(),
    ],
    brings: [],
  },
  {
    name: "$ topics: nor beside a filter that was not there yet when it was published",
    script: [
      connect("pub"),
      keep(),
      subscribe("# 1"),
      publish("$own/a x 1"),
      subscribe("$own/a 1"),
      drop(),
      keep(),
    ],
    brings: [],
  },
  {
    name: "$ topics: nor among retained messages",
    script: [connect("pub"), connect("sub"), publish("$own/a x 0 retain"), subscribe("+/+ 0")],
    brings: [],
  },
  {
    name: "empty levels: + stands for one, for a persistent session too [MQTT-4.7.1-3]",
    script: [connect("pub"), keep(), subscribe("+/+ 1"), publish("/a x 1")],
    brings: [["/a", "x", 1]],
  },
  {
    name: "empty levels: and among retained messages",
    script: [connect("pub"), connect("sub"), publish("/a x 0 retain"), subscribe("+/+ 0")],
    brings: [["/a", "x", 0, "retain"]],
  },
  {
    name: "retained, QoS 2: a persistent session gets a retained message of QoS 2",
    script: [connect("pub"), keep(), publish("a x 2 retain"), subscribe("a 2")],
    brings: [["a", "x", 2, "retain"]],
  },
  {
    name: "DUP: what was not acknowledged comes again with DUP [MQTT-3.3.1-1]",
    script: [connect("pub"), keep(), subscribe("a 1"), hush(), publish("a x 1"), drop(), keep()],
    brings: [["a", "x", 1, "dup"]],
  },
  {
    name: "DUP: and so does a retained message that a subscription brought [MQTT-4.4.0-1]",
    script: [
      connect("pub"),
      keep(),
      publish("a x 1 retain"),
      hush(),
      subscribe("a 1"),
      drop(),
      keep(),
    ],
    brings: [["a", "x", 1, "retain dup"]],
  },
  {
    name: "session present: a session is present without subscriptions, too [MQTT-3.2.2-2]",
    script: [keep(), drop(), keep()],
    brings: [],
    answer: true,
  },
  {
    name: "own will: who takes over a connection with a will to itself is connected, and gets it",
    script: [keep("a x 1"), subscribe("a 2"), keep()],
    brings: [["a", "x", 1]],
  },
  {
    name: "mixed bursts: messages of QoS 2, 1 and 0 in one segment all come, in their order",
    script: [
      connect("pub"),
      connect("sub"),
      subscribe("a 2"),
      publish("a 1 2", "a 2 1", "a 3 0", "a 4 1 retain", "a 5 1"),
    ],
    brings: [
      ["a", "1", 2],
      ["a", "2", 1],
      ["a", "3", 0],
      ["a", "4", 1],
      ["a", "5", 1],
    ],
  },
  {
    name: "$share: a subscription that is granted brings messages",
    script: [connect("pub"), connect("sub"), subscribe("$share/group/a 1"), publish("a x 1")],
    brings: [["a", "x", 1]],
  },
];

describe("where stock aedes is at fault, ours is right", () => {
  for (const fault of FAULTS) it(fault.name, () => check(fault));
});

async function check({ script, brings, answer }: Fault): Promise<void> {
  const came = brings.map(([topic, payload, qos, flags = ""]) => ({
    topic,
    payload,
    qos,
    retain: flags.includes("retain"),
    dup: flags.includes("dup"),
  }));
  const expected = answer === undefined ? { came } : { came, answer };
  const last = (outcomes: readonly Outcome[]) => {
    const outcome = outcomes.at(-1);
    const delivered = { came: outcome?.delivered["sub"] ?? [] };
    return answer === undefined ? delivered : { ...delivered, answer: outcome?.answer };
  };
  assert.deepEqual(last(await playOnOurs(script)), expected);
  const theirs = await withAedes((side) => play(side, script)).then(last, String);
  assert.notDeepEqual(theirs, expected, "aedes has mended this: permit the difference no longer");
}

function connect(client: string): Step {
  return { does: "connect", client, clean: true, will: null };
}

function keep(will?: string): Step {
  return { does: "connect", client: "sub", clean: false, will: will ? said(will) : null };
}

function drop(): Step {
  return { does: "drop", client: "sub" };
}

function hush(): Step {
  return { does: "hush", client: "sub" };
}

/** Filters as "FILTER QOS". */
function subscribe(...filters: string[]): Step {
  const asked = filters.map((each) => {
    const [topic = "", qos] = each.split(" ");
    return { topic, qos: Number(qos) as QoS };
  });
  return { does: "subscribe", client: "sub", filters: asked };
}

function publish(...messages: string[]): Step {
  return { does: "publish", client: "pub", messages: messages.map(said) };
}

/** A message as "TOPIC PAYLOAD QOS", with "retain" behind that or not. */
function said(message: string): Said {
  const [topic = "", payload = "", qos, retain] = message.split(" ");
  return { topic, payload, qos: Number(qos) as QoS, retain: retain !== undefined };
}
