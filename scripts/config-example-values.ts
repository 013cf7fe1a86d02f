/** What deploy/fieldgate.example.yaml shows with a value; its shape is held to the schema by the loader in a test. */
export const chosen = {
  gateway: { id: "gw-a", site: "plant-7" },
  store: { path: "/var/lib/fieldgate", bytesMax: 2 * 2 ** 30, durability: "local" },
  listeners: [
    {
      name: "lan",
      type: "tls",
      host: "0.0.0.0",
      port: 8883,
      certFile: "/etc/fieldgate/server.pem",
      keyFile: "/etc/fieldgate/server.key",
      clientCaFile: "/etc/fieldgate/clients-ca.pem",
    },
    { name: "local", port: 1883 },
  ],
  access: {
    usersFile: "/etc/fieldgate/users",
    tokens: {
      keysUrl: "https://id.example/.well-known/jwks.json",
      issuer: "https://id.example",
      audience: "fieldgate",
    },
    certificates: { roles: [{ match: "sensor-*", roles: ["sensor"] }] },
    roles: [
      {
        name: "sensor",
        publish: { allow: ["plant/{user}/#"], deny: ["plant/{user}/command"] },
        subscribe: { allow: ["plant/{user}/command"] },
      },
      { name: "screen", subscribe: { allow: ["plant/#", "$SYS/#"], deny: ["plant/+/secret"] } },
    ],
  },
  mqtt: { topicRates: [{ match: "plant/+/vibration/#", messages: 500 }] },
  devices: [
    {
      name: "boiler",
      port: "/dev/serial/by-id/usb-FTDI-if00-port0",
      framing: { type: "lines" },
      decode: { type: "key-value", units: { temperature: "°C", pressure: "bar" } },
      topic: "plant/{gateway}/{device}/{field}",
    },
    {
      name: "press",
      port: "tcp://10.0.0.9:4001",
      framing: { type: "delimiter", delimiter: "0d" },
      decode: { type: "csv", columns: ["force", "stroke"], units: { force: "kN", stroke: "mm" } },
    },
    {
      name: "scale",
      port: "/dev/serial/by-id/usb-scale-if00-port0",
      framing: { type: "fixed", length: 8, check: "xor" },
      qos: 2,
    },
    {
      name: "pump",
      port: "/dev/serial/by-id/usb-pump-if00-port0",
      baudRate: 115_200,
      framing: {
        type: "length-prefix",
        prefixBytes: 2,
        endian: "little",
        offset: 2,
        check: "crc16-modbus",
      },
    },
    {
      name: "scanner",
      port: "/dev/ttyUSB*",
      probe: { contains: "id=scanner-1 " },
      framing: { type: "lines" },
    },
    {
      name: "bus",
      port: "/dev/serial/by-id/usb-bus-if00-port0",
      baudRate: 19_200,
      parity: "even",
      modbus: {
        slaves: [
          {
            name: "meter-1",
            unit: 1,
            fields: [
              { field: "voltage", table: "input", register: 0, scale: 0.1, unit: "V" },
              { field: "energy", register: 6, type: "uint32", unit: "Wh" },
            ],
          },
        ],
      },
      topic: "plant/{gateway}/{slave}/{field}",
    },
  ],
  uplink: {
    endpoints: ["mqtts://cloud-1:8883", "mqtts://cloud-2:8883"],
    rules: [
      { match: "plant/+/+/alarm", lane: "alarm", remoteTopic: "sites/{site}/{topic}", qos: 2 },
      { match: "plant/#" },
      { match: "devices/#", lane: "bulk" },
    ],
    down: {
      subscriptions: [
        { filter: "sites/{site}/{gateway}/commands/#", qos: 2, localTopic: "commands/{rest}" },
      ],
      replyTopic: "sites/{site}/{gateway}/answers",
    },
    username: "gw-a",
    passwordFile: "/etc/fieldgate/cloud.password",
    caFile: "/etc/fieldgate/cloud-ca.pem",
    certFile: "/etc/fieldgate/gw-a.pem",
    keyFile: "/etc/fieldgate/gw-a.key",
  },
  cluster: {
    peer: {
      host: "10.0.0.11",
      caFile: "/etc/fieldgate/site-ca.crt",
      certFile: "/etc/fieldgate/gw-a.crt",
      keyFile: "/etc/fieldgate/gw-a.key",
    },
    endpoints: ["http://10.0.0.1:2379", "http://10.0.0.2:2379", "http://10.0.0.3:2379"],
  },
};
