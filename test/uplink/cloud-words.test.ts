import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parseEndpoint, shownEndpoint } from "../../src/uplink/endpoints.ts";
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
    checkEndpoint("mqtt://cloud", "cloud 1883 plain");
    checkEndpoint("mqtts://cloud", "cloud 8883 TLS");
    checkEndpoint("mqtts://[::1]:7", "::1 7 TLS");
  });

  it("may name a user and a password, which are never shown", () => {
    checkEndpoint("mqtts://gw:s%40c/x", null);
    checkEndpoint("mqtts://gw:s%40c@cloud:7", "cloud 7 TLS gw s@c");
    checkEndpoint("mqtt://gw:100%@cloud", "cloud 1883 plain gw 100%");
    assert.equal(shownEndpoint("mqtts://gw:s%40c@cloud:7"), "mqtts://cloud:7");
    assert.equal(shownEndpoint("mqtts://cloud:7"), "mqtts://cloud:7");
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

function checkEndpoint(endpoint: string, expected: string | null): void {
  const address = parseEndpoint(endpoint);
  const words = address && [
    address.host,
    address.port,
    address.tls ? "TLS" : "plain",
    ...(address.username === null ? [] : [address.username]),
    ...(address.password === null ? [] : [address.password]),
  ];
  assert.equal(words?.join(" ") ?? null, expected);
}
