import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parseEndpoint } from "../../src/uplink/endpoints.ts";
import { verdictOf } from "../../src/uplink/reasons.ts";

describe("what a reason code means for a message", () => {
  it("taken, also when nobody subscribes there", () => {
    check([0x00, 0x10], "taken");
  });

  it("given up when it would be refused the same way tomorrow", () => {
    check([0x87], "not-authorized");
    check([0x90], "topic-invalid");
    check([0x95], "packet-too-large");
    check([0x99], "payload-invalid");
  });

  it("sent again when the cloud has trouble today, or we do not know what it says", () => {
    check([0x80, 0x83, 0x89, 0x91, 0x97, 0xff], "try again");
  });
});

describe("an endpoint", () => {
  it("is a host and a port, with or without TLS", () => {
    assert.deepEqual(parseEndpoint("mqtt://cloud"), { host: "cloud", port: 1883, tls: false });
    assert.deepEqual(parseEndpoint("mqtts://cloud"), { host: "cloud", port: 8883, tls: true });
    assert.deepEqual(parseEndpoint("mqtts://[::1]:7"), { host: "::1", port: 7, tls: true });
  });

  it("is nothing else", () => {
    for (const wrong of ["", "cloud", "http://cloud", "mqtt://", "mqtt://cloud:99999"]) {
      assert.equal(parseEndpoint(wrong), null, wrong);
    }
  });
});

function check(codes: readonly number[], verdict: string): void {
  for (const code of codes) assert.equal(verdictOf(code), verdict, `0x${code.toString(16)}`);
}
