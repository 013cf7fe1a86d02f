/** The last part of docs/config.md: what src/config/check*.ts checks, in words. */
export const configRules = `## Rules between keys

A file is also refused when

- two listeners or two devices have one name, two listeners take one port of one address, or two devices read one
  serial port;
- a listener of type \`tcp\` or \`ws\` has a \`host\` beyond loopback without \`insecure: true\`, or has \`certFile\`, \`keyFile\` or
  \`clientCaFile\`; one of type \`tls\` or \`wss\` lacks \`certFile\` or \`keyFile\`, or says \`insecure\`;
- a role in \`access\` is used and not defined, defined twice, or called \`everything\`, which is there already; a filter of a role is
  not one; \`access.tokens\` has both or none of \`keysFile\` and \`keysUrl\`, or fetches keys over plain HTTP from elsewhere;
- a listener has a method of \`methods\` that nothing is configured for, or \`anonymous: true\` beyond loopback while
  \`access.anonymousRoles\` is empty, so that those it lets in could do nothing;
- \`store.durability\` is \`safe\` without \`cluster.peer\`; \`cluster.peer.frameBytesMax\` is too small for the largest block;
- \`cluster.primaryTtlSeconds\` is more than \`cluster.registrationTtlSeconds\`;
- \`control.socket\` is longer than 107 bytes, the most that a Unix socket can have;
- an endpoint is anything but scheme, host, port, user and password, or is listed twice;
- a framing has a key of another one, or lacks its own: \`delimiter\` needs \`delimiter\`, \`fixed\` needs \`length\`,
  \`length-prefix\` needs \`prefixBytes\` and, for more than one byte, \`endian\`, and takes \`offset\`; or \`length\`, of which the check
  value takes its part, is more than \`bytesMax\` or leaves nothing to check;
- a device's \`port\` is no whole path, or is that of another in other words; two look for the same with their \`probe\`, or one for more than a frame
  may have; its \`dataBits\` are fewer than Modbus RTU, SLIP, COBS or a binary check value need; \`backoffFirstMs\` is more than \`backoffMaxMs\`;
- \`decode\` is \`csv\` without \`columns\`, has \`columns\` without being \`csv\`, names a column twice, gives a unit to a
  column that is not there, is \`binary\` without \`fields\`, has \`fields\` without being \`binary\`, or has \`units\` although it is \`raw\` or \`text\`, which have no fields; it is
  \`binary\` in \`lines\`, or a field is beyond the frame; there are more columns or fields than \`readingsMax\`;
- \`modbus\` is there with a framing or decode, has two slaves of one name or address without \`{slave}\` in the topic, an address that
  no slave on a serial line has, a field twice, framing \`tcp\` on a serial port, or a field whose keys contradict each other:
  \`bit\` beyond the type or with \`enum\` or \`scale\`, a word for a number that the type cannot be, a \`type\` or an order of bytes of a coil,
  \`scale: 0\`, \`deadBand\` without \`publish: change\` or for bits and words;
- two of the topics of devices are the same, filled in and those that come by default too; only messages may share a topic with messages, and replies
  with replies; there is a \`replyTopic\` without a \`commandTopic\`;
- a topic has a wildcard or a placeholder that is not known there, begins with \`$\`, or has \`{field}\` although its
  frames have no fields; a filter of a rule is not valid;
- a rule of the uplink can never be reached, because a rule before it matches the same or everything;
- \`uplink.certFile\` and \`uplink.keyFile\` are not there together, or they or \`uplink.caFile\` are there and no endpoint
  begins with \`mqtts://\`; there is a \`passwordFile\` without a user, or a user both in a URL and in \`username\`;
- \`uplink.backoffFirstMs\` is more than \`uplink.backoffMaxMs\`.

## Limits of the file

It has at most 1 MiB, 200,000 words and marks, and 50,000 values, those that aliases (\`*name\`) repeat counted each time.
Tags (\`!name\`), directives (\`%\`), merge keys (\`<<\`) and a second document mean nothing here and are mistakes. At most 100
mistakes are listed; the last line says how many there are.

Passwords belong into a file of their own, \`uplink.passwordFile\`. One that stands in a URL is hidden wherever the
configuration is shown.`;
