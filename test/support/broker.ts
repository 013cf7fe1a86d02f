import { Access, type AccessOptions, type AccessTools } from "../../src/access/access.ts";
import type { PasswordJudge } from "../../src/access/password-check.ts";
import { isPassword } from "../../src/access/phc.ts";
import type { Clock } from "../../src/base/clock.ts";
import { type Log, silentLog } from "../../src/base/log.ts";
import { systemClock } from "../../src/base/system-clock.ts";
import { Broker } from "../../src/broker/broker.ts";
import type { BrokerOptions } from "../../src/broker/broker-options.ts";
import { type MemoryJournal, memoryJournal } from "../../src/journal/memory-journal.ts";

/** A listener on a free port of loopback. */
export function testListener(
  options: Partial<BrokerOptions["listeners"][number]> = {},
): BrokerOptions["listeners"][number] {
  return {
    ...{ name: "test", type: "tcp", host: "127.0.0.1", port: 0, path: "/mqtt", origins: [] },
    ...{ clientCertificate: "required", certificateCheckSeconds: 60, handshakeTimeoutMs: 10_000 },
    whenClockIsUnsure: "accept",
    ...options,
  };
}

const OPTIONS: BrokerOptions = {
  listeners: [testListener()],
  packetBytesMax: 2 ** 20,
  connectBytesMax: 16_384,
  connectTimeoutMs: 10_000,
  packetTimeoutMs: 60_000,
  connectionsMax: 1000,
  connectionsPerAddressMax: 1000,
  ...{ connectRate: 100_000, connectRatePerAddress: 100_000 },
  topicLevelsMax: 32,
  topicBytesMax: 65_535,
  connectionsPerUserMax: 1000,
  ...{ sessionsPerUserMax: 1000, retainedPerUserMax: 1000, sharedPerSessionMax: 100 },
  ...{
    publishRate: 0,
    publishBytesRate: 0,
    clientPublishRate: 0,
    clientFiltersRate: 0,
    clientPublishBytesRate: 0,
    clientRatesLeftMax: 100,
  },
  ...{ overRate: "pause", topicRates: [], overloadLagMs: 0, overloadMemoryBytes: 0 },
  inflightMax: 32,
  inboundInflightMax: 100,
  queueMessagesMax: 100_000,
  ...{ queueBytesMax: 2 ** 26, waitingBytesMax: 2 ** 27 },
  queueWhenFull: "drop-oldest",
  outputBytesMax: 2 ** 20,
  heldBytesMax: 2 ** 20,
  sessionsMax: 1000,
  sessionExpiryHours: 0,
  subscriptionsMax: 1000,
  retainedMax: 1000,
  retainedBytesMax: 2 ** 26,
  packetFiltersMax: 1000,
  pendingBytesMax: 2 ** 23,
  sharedStrategy: "round-robin",
  sharedGroups: [],
  sharedMax: 100,
  sharedWhenFull: "drop-oldest",
  sharedStuckMs: 5000,
  sharedAckTimeoutMs: 60_000,
};

/** What the configuration says of access when it says nothing. */
const ACCESS: AccessOptions = {
  listeners: [],
  roles: [],
  loopbackRoles: ["everything"],
  anonymousRoles: [],
  downlinkRoles: ["everything"],
  certificates: { userFrom: "common-name", roles: [] },
  whenDenied: "drop",
  clientIds: "any",
  usersCheckSeconds: 1,
  tokenBytesMax: 8192,
  attempts: {
    ...{ failuresFree: 5, pauseFirstMs: 500, pauseMaxMs: 60_000, waitMsMax: 5000 },
    ...{ addressesMax: 100, checksMax: 64, knownMax: 100 },
  },
};

/** Passwords of tests cost little: no thread of their own is needed. */
export const ON_THE_POOL: PasswordJudge = { isPassword, stop: async () => {} };

/** A broker on a journal in memory. */
export class TestSite {
  broker: Broker;
  readonly #options: BrokerOptions;
  readonly access: Access;
  /** What the broker is told of the memory that it takes. */
  memoryBytes = 0;
  /** Of the broker; another one counts from the next restart. */
  clock: Clock = systemClock;
  log: Log = silentLog;
  wallIsSure = true;
  #journal: MemoryJournal;

  constructor(
    options: Partial<BrokerOptions>,
    access: Partial<AccessOptions> = {},
    accessTools: Partial<AccessTools> = {},
  ) {
    this.#options = { ...OPTIONS, ...options };
    const nobody = { users: null, keys: null, wallIsSure: () => true, passwords: ON_THE_POOL };
    this.access = new Access(
      { ...ACCESS, ...access },
      { clock: systemClock, log: silentLog, ...nobody, ...accessTools },
    );
    const tools = { clock: systemClock, log: silentLog, random: Math.random };
    const small = { tailBytesMax: 65_536, trimBytesMin: 65_536 };
    const quick = { ...small, retry: { firstMs: 1, maxMs: 5 } };
    this.#journal = memoryJournal(quick, tools);
    this.broker = this.#brokerOn(this.#journal);
  }

  get journal(): MemoryJournal {
    return this.#journal;
  }

  get port(): number {
    return this.broker.status().listeners[0]?.port ?? 0;
  }

  /** Lets no commit through until the returned function is called. */
  hold(): () => void {
    this.#journal.onWrite = () => {
      throw new Error("held by the test");
    };
    return () => {
      this.#journal.onWrite = () => {};
    };
  }

  async start(): Promise<void> {
    await this.#journal.start(new AbortController().signal);
    await this.access.start();
    await this.broker.start(new AbortController().signal);
  }

  async stop(): Promise<void> {
    await this.broker.stop();
    await this.access.stop();
    await this.#journal.stop();
  }

  /** The broker ends and another one starts on what is left: all after a stop, what was synced after a crash. */
  async restart(how: "stop" | "crash" = "stop"): Promise<void> {
    let next: MemoryJournal;
    if (how === "crash") {
      next = await this.#journal.crash();
      // Commits that were held are those of the one that died; it may just be trying again.
      await new Promise((resolve) => setImmediate(resolve));
      next.onWrite = () => {};
      await this.broker.stop();
      await this.access.stop();
    } else {
      await this.stop();
      next = this.#journal.reopened();
    }
    this.#journal = next;
    this.broker = this.#brokerOn(next);
    await this.start();
  }

  #brokerOn(journal: MemoryJournal): Broker {
    return new Broker(this.#options, {
      clock: this.clock,
      log: this.log,
      access: this.access,
      memoryBytes: () => this.memoryBytes,
      wallIsSure: () => this.wallIsSure,
      journal,
      laneOf: () => 0,
    });
  }
}

/** Runs a test against a broker, which is stopped afterwards whatever happened. */
export async function withBroker(
  test: (site: TestSite) => Promise<void>,
  options: Partial<BrokerOptions> = {},
  access: Partial<AccessOptions> = {},
  accessTools: Partial<AccessTools> = {},
): Promise<void> {
  const site = new TestSite(options, access, accessTools);
  try {
    await site.start();
    await test(site);
  } finally {
    await site.stop();
  }
}
