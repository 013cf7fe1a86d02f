import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { judge, screen } from "../../src/cli/status.ts";
import type { GatewayStatus } from "../../src/gateway-status.ts";
import { newCounters } from "../../src/journal/counters.ts";
import { noDamage } from "../../src/journal/store.ts";
import { newCounters as newReplicationCounters } from "../../src/replica/counters.ts";
import { DownLedger } from "../../src/uplink/down-ledger.ts";

describe("fieldgate status", () => {
  it("shows a healthy gateway on one screen, and exits 0", () => {
    const status = healthy();
    const verdict = judge(status);
    assert.equal(verdict.exit, 0);
    assert.equal(
      screen(status, verdict),
      `gw-a at plant-7, up 3 h
  role                 standby, 2 gateways at the site, primary: gw-b
  clock                synchronised, set 1 times, last by 2 h back
  copies               none: there is no cluster.peer, so each gateway carries its own messages to the cloud
  clients              3 connected, 2 sessions, 1 away, 1 retained
  listener lan         tls on port 8883, 4 connections, certificate for 42 days
  messages             12,345 accepted since start, 45,678 sent to clients
  store                open, 1.5 MiB of 2.0 GiB, seq 990 on disk of 1000
    commits            3,000 messages in 30 commits, 30 syncs, 1.3 ms median, 9.0 ms p99
    refused            5 store full, 6 disk behind
    damage             none
  flash                1.0 GiB written since 2026-01-02, 312 bytes a message, amplification 2.6, 4.0 GiB a day, 12.3 years left of 30 TB
  uplink               connected, mqtts://cloud:8883, MQTT 5, 7 in flight
    progress           12/s acknowledged of 10/s accepted, 100 wait, oldest for 1 min, drained in 47 s
    telemetry          1,000 accepted = 890 delivered + 10 dropped (full) + 100 queued, held by rate
  device boiler        open, 70 frames, 69 accepted
  shared workers       plant/#: 2 of 3 members here, 1,200 queued, 30 of them in flight
  top talkers          meter-3 41.5/s, meter-1 2.0/s
  machine              CPU 12 %, memory 300.0 MiB free of 1.0 GiB, disk 5.0 GiB free, 51 °C
`,
    );
  });

  it("says first what wants attention, and exits 1; what endangers messages comes before it and exits 2", () => {
    const status = healthy();
    const worse = {
      ...status,
      journal: { ...status.journal, state: "failed" as const, error: "no space left" },
      uplink: status.uplink && {
        ...status.uplink,
        state: "waiting" as const,
        lastError: { error: "refused" },
      },
      devices: status.devices.map((each) => ({
        ...each,
        state: "waiting" as const,
        reason: "no-such-port" as const,
      })),
    };
    assert.deepEqual(judge({ ...status, uplink: worse.uplink, devices: worse.devices }), {
      exit: 1,
      reasons: [
        "uplink waiting: refused",
        "device boiler waiting: there is no such port; plug the adapter in, or correct `port`",
      ],
    });
    assert.deepEqual(judge({ ...status, uplink: null }).reasons, [
      "100 messages wait for an uplink, and none is configured",
    ]);
    assert.deepEqual(judge(worse), {
      exit: 2,
      reasons: [
        "store failed: no space left",
        "uplink waiting: refused",
        "device boiler waiting: there is no such port; plug the adapter in, or correct `port`",
      ],
    });
  });

  it("warns of a certificate 30 days before it ends, and of one that could not be reloaded", () => {
    const status = healthy();
    const [lan] = status.broker.listeners;
    assert.ok(lan?.certificate);
    const { certificate } = lan;
    const judged = (change: Partial<typeof certificate>) =>
      judge({
        ...status,
        broker: {
          ...status.broker,
          listeners: [{ ...lan, certificate: { ...certificate, ...change } }],
        },
      });
    assert.deepEqual(judged({ daysLeft: 30 }).reasons, []);
    assert.deepEqual(judged({ daysLeft: 29 }), {
      exit: 1,
      reasons: ["certificate of listener lan expires in 29 days"],
    });
    assert.deepEqual(judged({ daysLeft: -1 }), {
      exit: 2,
      reasons: ["certificate of listener lan has expired"],
    });
    assert.deepEqual(judged({ error: "no PEM" }).reasons, [
      "listener lan keeps its old certificate: no PEM",
    ]);
  });
});

describe("an uplink that is connected", () => {
  const connected = () => {
    const { uplink, progress, ...status } = healthy();
    assert.ok(uplink && progress);
    return { ...status, uplink, progress };
  };

  it("is judged by what the cloud acknowledges", () => {
    const status = connected();
    const { uplink, progress } = status;
    const silent = { ...progress, silentMs: 180_000 };
    assert.deepEqual(judge({ ...status, progress: silent }), {
      exit: 1,
      reasons: ["uplink connected, but nothing was acknowledged for 3 min"],
    });
    const idle = { ...status, progress: silent, uplink: { ...uplink, inflight: 0 } };
    assert.equal(judge(idle).exit, 0, "nothing was sent that could be acknowledged");
  });

  it("tells of a lane that an operator holds, while something waits in it", () => {
    const status = connected();
    const { uplink } = status;
    const held = (queued: number) => {
      const lanes = { ...uplink.lanes, telemetry: { cursor: 9, queued, paused: true } };
      return judge({ ...status, uplink: { ...uplink, lanes } }).reasons;
    };
    assert.deepEqual(held(0), []);
    assert.deepEqual(held(1200), ["lane telemetry is paused by an operator: 1,200 wait"]);
  });

  it("tells of a queue that does not get less, and before there are figures", () => {
    const status = connected();
    const { progress } = status;
    const shown = (change: object) =>
      screen({ ...status, progress: { ...progress, ...change } }, FINE);
    assert.match(shown({ drainSeconds: null }), /oldest for 1 min, not getting less\n/);
    assert.match(shown({ queued: 0, deliveredPerSecond: null }), /progress +nothing waits\n/);
  });
});

describe("the clock in fieldgate status", () => {
  it("wants attention when it was never set, and none when it runs free", () => {
    const { time, ...status } = healthy();
    const judged = (quality: "unset" | "free-running") =>
      judge({ ...status, time: { ...time, quality } }).reasons;
    assert.deepEqual(judged("unset"), ["clock never set: stamps of messages are not right yet"]);
    assert.deepEqual(judged("free-running"), []);
  });
});

const FINE = { exit: 0, reasons: [] } as const;

describe("commands from the cloud", () => {
  it("have a line of their own, and say when they cannot come", () => {
    const downlink = {
      state: "waiting",
      endpoint: "mqtts://cloud:8883",
      breaker: "open",
      endpoints: [{ endpoint: "mqtts://cloud:8883", breaker: "open", opened: 1, failures: 3 }],
      attempt: 2,
      failures: 2,
      lastError: { error: "refused" },
      protocol: null,
      sessionsLost: 0,
      filtersRefused: ["a/#"],
      identities: 5,
      identitiesForgotten: 0,
      received: 9,
      accepted: 5,
      duplicates: 1,
      refused: { ...new DownLedger().balance().refused, expired: 2 },
      waiting: 1,
      late: 0,
      answers: 8,
      answersFailed: 0,
    } as const;
    const status = { ...healthy(), downlink };
    const verdict = judge(status);
    assert.deepEqual(verdict, {
      exit: 1,
      reasons: [
        "downlink waiting: refused",
        "downlink tries mqtts://cloud:8883 less often: 3 failures in a row",
        "no commands: the cloud refuses the subscription to a/#",
      ],
    });
    const line = "waiting, 9 received = 5 accepted + 1 repeated + 2 refused + 1 waiting";
    assert.ok(screen(status, verdict).includes(`  commands             ${line}\n`));
  });
});

describe("what a store has lost", () => {
  it("wants attention, with what was set aside, and stands in the row of the damage", () => {
    const status = healthy();
    const figures = { ...status.journal.figures, damagedBlocks: 2, missingReferences: 1500 };
    const quarantine = "/var/lib/fieldgate/quarantine-1";
    const hurt = { ...status, journal: { ...status.journal, figures, quarantine } };
    const verdict = judge(hurt);
    assert.deepEqual(verdict, {
      exit: 1,
      reasons: [
        "a damaged store was set aside: /var/lib/fieldgate/quarantine-1",
        "damage to the store: 2 damaged blocks, 1,500 missing references",
      ],
    });
    assert.match(
      screen(hurt, verdict),
      /^ {4}damage +2 damaged blocks, 1,500 missing references$/m,
    );
  });

  it("is no damage when it is the end of the last write, which a power cut leaves unfinished", () => {
    const status = healthy();
    const figures = { ...status.journal.figures, logBytesDropped: 2048 };
    const cut = { ...status, journal: { ...status.journal, figures } };
    const verdict = judge(cut);
    assert.deepEqual(verdict, FINE);
    assert.match(
      screen(cut, verdict),
      /damage +none; begun without the last 2,048 bytes written$/m,
    );
  });

  it("counts files that a repair gave up, and reads that failed", () => {
    const status = healthy();
    const figures = { ...status.journal.figures, unreadable: 3, filesLost: 1 };
    const verdict = judge({ ...status, journal: { ...status.journal, figures } });
    assert.deepEqual(verdict, {
      exit: 1,
      reasons: ["damage to the store: 3 unreadable reads, 1 lost files"],
    });
  });

  it("is told before the first commit and on a machine that tells nothing, too", () => {
    const status = healthy();
    const figures = {
      ...newCounters(),
      ...noDamage(),
      ...{ commitMsMedian: null, commitMsP99: null },
    };
    const bare = { ...status, flash: null, journal: { ...status.journal, figures } };
    const text = screen(bare, judge(bare));
    assert.match(text, /^ {4}commits +0 messages in 0 commits, 0 syncs$/m);
    assert.match(text, /^ {2}flash +not told by this machine$/m);
  });
});

describe("the copies in fieldgate status", () => {
  const peer = {
    id: "gw-b",
    address: "10.0.0.12:7883",
    state: "connected" as const,
    ackedSeq: 990,
    failures: 0,
    lastError: null,
    inSync: true,
    lagMs: 0,
  };
  const copied = {
    address: "10.0.0.11:7883",
    error: null,
    inSync: ["gw-b"],
    isAlone: false,
    whenAlone: "accept" as const,
    releasedSeq: 990,
    peers: [peer],
    replicas: [{ journal: "11", gateway: "gw-b", seq: 5, storeBytes: 1000, connected: true }],
    counters: newReplicationCounters(),
  };

  it("are fine while every peer is in sync, and a standby's uplink rests", () => {
    const status = healthy();
    const uplink = status.uplink && { ...status.uplink, state: "paused" as const };
    const standby = { ...status, uplink, replication: copied };
    assert.deepEqual(judge(standby), { exit: 0, reasons: [] });
    assert.match(screen(standby, judge(standby)), /in sync: gw-b of 1; copied here: gw-b to seq 5/);
  });

  it("want attention when a peer is not in sync, and exit 2 when nothing is accepted without one", () => {
    const lastError = { error: "the peer is silent" };
    const lost = { ...peer, inSync: false, state: "waiting" as const, lastError };
    const alone = { ...copied, inSync: [], isAlone: true, peers: [lost] };
    const uplink = null;
    const ledger = { ...healthy().ledger, telemetry: healthy().ledger.bulk };
    assert.deepEqual(judge({ ...healthy(), uplink, ledger, replication: alone }), {
      exit: 1,
      reasons: [
        "no peer is in sync: what is acknowledged is on this disk only",
        "peer gw-b is not in sync: the peer is silent",
      ],
    });
    const rejecting = { ...alone, whenAlone: "reject" as const };
    assert.equal(judge({ ...healthy(), replication: rejecting }).exit, 2);
  });
});

const MEMBER = {
  id: "gw-a",
  run: "1",
  address: "",
  priority: 100,
  version: "0.1.0",
  journal: "00",
  offset: 5,
  replicated: 0,
};

function healthy(): GatewayStatus {
  const lane = { accepted: 0, delivered: 0, dropped: {}, queued: 0 };
  return {
    gateway: "gw-a",
    site: "plant-7",
    version: "0.1.0",
    uptimeMs: 11_000_000,
    access: {
      ...{ roles: 0, users: null, tokenKeys: null, slowedAddresses: 0 },
      passwords: { waiting: 0, known: 0, forgotten: 0, checked: 0, failed: 0 },
    },
    pid: 4711,
    replication: null,
    replicaUplinks: {},
    callersRefused: { control: 0, health: 0 },
    log: { pendingBytes: 0, dropped: 0, leftOut: 0, forgotten: 0, isRead: true },
    time: {
      bootId: "00",
      bootMs: 12_000_000,
      quality: "synchronised",
      steps: 1,
      lastStepMs: -7_200_000,
    },
    journal: {
      id: "00",
      state: "open",
      error: null,
      lastSeq: 1000,
      durableSeq: 990,
      storeBytes: 1_572_864,
      bytesMax: 2 ** 31,
      freeBytes: 2 ** 32,
      room: "free",
      pendingBytes: 0,
      quarantine: null,
      figures: {
        ...newCounters(),
        ...noDamage(),
        commits: 30,
        syncs: 30,
        entries: 3000,
        refusedFull: 5,
        refusedPending: 6,
        commitMsMedian: 1.26,
        commitMsP99: 9,
      },
    },
    flash: {
      sinceMs: Date.UTC(2026, 0, 2),
      deviceBytes: 2 ** 30,
      programBytes: 2 ** 29,
      windowMs: 86_400_000,
      bytesPerMessage: 312.4,
      writeAmplification: 2.6,
      bytesPerDay: 2 ** 32,
      enduranceBytes: 30e12,
      yearsLeft: 12.34,
    },
    broker: {
      connections: 3,
      sessions: 2,
      persistent: {
        ...{ sessions: 2, away: 1, sessionsMax: 10_000, sessionExpiryHours: 0, nearlyFull: false },
        ...{ expired: 0, forgotten: 0 },
      },
      retained: 1,
      accepted: 12_345,
      acceptedDurable: 1000,
      sent: 45_678,
      paused: 0,
      pauses: 0,
      throttled: 0,
      throttles: 0,
      ratesLeft: 0,
      ratesForgotten: 0,
      overload: { state: "calm", lagMs: 0, lagMsMost: 0, memoryBytes: 0, times: 0 },
      held: 0,
      dropped: {},
      closed: {},
      shared: [
        {
          group: "workers",
          filter: "plant/#",
          strategy: "sticky",
          members: 3,
          connected: 2,
          queued: 1200,
          inflight: 30,
          givenBack: 4,
          dropped: 0,
        },
      ],
      listeners: [
        {
          ...{ name: "lan", type: "tls", port: 8883, sockets: 4, acceptErrors: 0, waiting: null },
          certificate: { subject: "CN=gw", notAfterMs: 0, daysLeft: 42, reloads: 0, error: null },
        },
      ],
      certified: [],
      talkers: [
        { clientId: "meter-3", perSecond: 41.5 },
        { clientId: "meter-1", perSecond: 2 },
      ],
    },
    devices: [
      {
        name: "boiler",
        port: "/dev/ttyS0",
        state: "open",
        reason: null,
        lastFrameMs: null,
        counters: {
          bytes: 0,
          frames: 70,
          accepted: 69,
          refused: {},
          inflight: 1,
          messages: 69,
          reopened: 0,
          paused: 0,
        },
      },
    ],
    uplink: {
      state: "connected",
      endpoint: "mqtts://cloud:8883",
      breaker: "closed",
      endpoints: [{ endpoint: "mqtts://cloud:8883", breaker: "closed", opened: 0, failures: 0 }],
      protocol: "5",
      isReady: false,
      attempt: 0,
      inflight: 7,
      delivered: 900,
      dropped: {
        unrouted: 0,
        expired: 0,
        "packet-too-large": 0,
        "topic-invalid": 0,
        "payload-invalid": 0,
        "not-authorized": 0,
        operator: 0,
      },
      failures: 0,
      retried: 0,
      deadLetters: 0,
      readFailures: 0,
      unexpected: 0,
      peeksCut: 0,
      lastError: null,
      lastAcknowledgedMs: null,
      pace: {
        held: { alarm: null, telemetry: "rate", bulk: null },
        holds: { rate: 1, hours: 0, budget: 0 },
        budget: null,
      },
      lanes: {
        alarm: { cursor: 0, queued: 0, paused: false },
        telemetry: { cursor: 900, queued: 100, paused: false },
        bulk: { cursor: 0, queued: 0, paused: false },
      },
    },
    progress: {
      deliveredPerSecond: 12.34,
      acceptedPerSecond: 10.2,
      queued: 100,
      oldestMs: 61_000,
      drainSeconds: 46.7,
      silentMs: 20,
    },
    downlink: null,
    settings: null,
    cluster: {
      role: "standby",
      epoch: null,
      mayAct: false,
      primary: { gateway: "gw-b", epoch: 7 },
      standing: ["gw-a", "gw-b"],
      registration: "registered",
      etcd: "answers",
      etcdWentBack: 0,
      members: [MEMBER, { ...MEMBER, id: "gw-b" }],
      counters: null,
      membership: null,
      lastError: null,
      garbage: [],
    },
    host: {
      cpuPercent: 12.4,
      memoryTotalBytes: 2 ** 30,
      memoryAvailableBytes: 300 * 2 ** 20,
      temperatureCelsius: 51.2,
      diskTotalBytes: 2 ** 35,
      diskAvailableBytes: 5 * 2 ** 30,
      networkReceivedBytes: 4096,
      networkSentBytes: null,
    },
    ledger: {
      alarm: lane,
      telemetry: { accepted: 1000, delivered: 890, dropped: { full: 10 }, queued: 100 },
      bulk: lane,
    },
  };
}
