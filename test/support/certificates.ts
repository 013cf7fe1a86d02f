import { execFileSync } from "node:child_process";
import { join } from "node:path";

/** The files of a certificate and its key. */
export interface KeyPair {
  readonly cert: string;
  readonly key: string;
}

/** Whoever signs certificates: EC keys, valid for two days. */
export function authority(directory: string, name: string): KeyPair {
  const pair = { cert: join(directory, `${name}.pem`), key: join(directory, `${name}.key`) };
  const files = ["-keyout", pair.key, "-out", pair.cert];
  openssl("req", "-x509", "-subj", `/CN=${name}`, "-days", "2", ...files);
  return pair;
}

/** A certificate for `name`, signed by `by`; `altName` and `subject` as openssl writes them: "subjectAltName=DNS:localhost". */
export function certificate(
  directory: string,
  by: KeyPair,
  name: string,
  altName: string,
  days = 2,
  subject = `/CN=${name}`,
): KeyPair {
  const pair = { cert: join(directory, `${name}.pem`), key: join(directory, `${name}.key`) };
  openssl(
    ...[
      "req",
      "-x509",
      "-CA",
      by.cert,
      "-CAkey",
      by.key,
      "-utf8",
      "-multivalue-rdn",
      "-subj",
      subject,
    ],
    ...["-addext", altName, "-addext", "basicConstraints=critical,CA:FALSE"],
    ...["-days", `${days}`, "-keyout", pair.key, "-out", pair.cert],
  );
  return pair;
}

/** As `certificate`, but its time ended a day ago. */
export function expiredCertificate(
  directory: string,
  by: KeyPair,
  name: string,
  altName: string,
): KeyPair {
  const pair = { cert: join(directory, `${name}.pem`), key: join(directory, `${name}.key`) };
  const request = join(directory, `${name}.csr`);
  const files = ["-keyout", pair.key, "-out", request];
  openssl("req", "-new", "-subj", `/CN=${name}`, "-addext", altName, ...files);
  const signing = ["-CA", by.cert, "-CAkey", by.key, "-CAcreateserial", "-days", "-1"];
  const argv = ["x509", "-req", "-in", request, ...signing, "-copy_extensions", "copy"];
  execFileSync("openssl", [...argv, "-out", pair.cert], { stdio: "pipe" });
  return pair;
}

function openssl(...args: string[]): void {
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
  execFileSync("openssl", [...args, ...key], { stdio: "pipe" });
}
