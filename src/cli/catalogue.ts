import type { Catalogue } from "./command.ts";

/** Every command, in the order of the help. */
export const CATALOGUE: Catalogue = {
  run: {
    about: { run: "run the gateway in the foreground" },
    load: () => import("./run.ts"),
  },
  status: {
    about: { status: "what a running gateway does, on one screen" },
    load: () => import("./status.ts"),
  },
  doctor: {
    about: { doctor: "what is wrong, why, and what to do" },
    load: () => import("./doctor.ts"),
  },
  tail: {
    about: { tail: "messages as they come, decoded" },
    load: () => import("./tail.ts"),
  },
  pub: {
    about: { pub: "publish a message" },
    load: () => import("./pub.ts"),
  },
  clients: {
    about: {
      clients: "who is connected, and what waits for whom",
      "clients kick": "disconnect a client",
      "clients forget": "end the session of a client that is away",
    },
    load: () => import("./clients.ts"),
  },
  retained: {
    about: { retained: "the retained messages" },
    load: () => import("./retained.ts"),
  },
  queue: {
    about: {
      queue: "what waits for the cloud, lane by lane",
      "queue peek": "the oldest messages of a lane",
      "queue pause": "send nothing of a lane until it is resumed",
      "queue resume": "send a lane again",
      "queue drop": "give up what waits in a lane",
    },
    load: () => import("./queue.ts"),
  },
  uplink: {
    about: {
      uplink: "how the uplink gets on",
      "uplink test": "the way to the cloud, step by step",
      "uplink route": "what happens to the messages of a topic, and why",
    },
    load: () => import("./uplink.ts"),
  },
  serial: {
    about: {
      serial: "the serial ports, and which device has which",
      "serial identify": "which port comes or goes",
      "serial trace": "the bytes on a line",
      "serial probe": "who speaks at a port, at which rate",
    },
    load: () => import("./serial.ts"),
  },
  modbus: {
    about: {
      "modbus read": "ask a Modbus slave",
      "modbus write": "write to one, or show the bytes",
    },
    load: () => import("./modbus.ts"),
  },
  ledger: {
    about: { ledger: "prove that nothing has gone missing" },
    load: () => import("./ledger.ts"),
  },
  site: {
    about: {
      site: "the gateways of the site, and who is primary",
      "site hand-over": "make another gateway primary",
      "site init": "make the certificate authority of a site",
      "site enroll": "make the certificate of a gateway",
    },
    load: () => import("./site.ts"),
  },
  access: {
    about: { "access explain": "what a client may publish and subscribe to, and why" },
    load: () => import("./access.ts"),
  },
  user: {
    about: {
      "user list": "users and their roles",
      "user add": "a new user",
      "user passwd": "another password",
      "user roles": "other roles",
      "user remove": "take a user away",
    },
    load: () => import("./user.ts"),
  },
  config: {
    about: {
      "config check": "check a configuration file",
      "config show": "show a configuration with all defaults, without secrets",
      "config diff": "what another configuration would change",
      "config apply": "try another configuration, and go back unless it is confirmed",
      "config confirm": "keep the configuration that is being tried",
      "config revert": "go back from it at once",
    },
    load: () => import("./config.ts"),
  },
  time: {
    about: { time: "what the clock is worth", "time set": "set it, where no time server does" },
    load: () => import("./time.ts"),
  },
  top: {
    about: { top: "the gateway at work, live" },
    load: () => import("./top.ts"),
  },
  backup: {
    about: { backup: "copy the store, whether the gateway runs or not" },
    load: () => import("./backup.ts"),
  },
  bundle: {
    about: { bundle: "one archive for support, without secrets" },
    load: () => import("./bundle.ts"),
  },
  completion: {
    about: { completion: "what a shell needs to complete commands and options" },
    load: async () => ({ command: (await import("./completion.ts")).completion(CATALOGUE) }),
  },
};
