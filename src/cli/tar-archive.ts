import { promisify } from "node:util";
import { gzip } from "node:zlib";
import { packTar } from "modern-tar";

/** A file of an archive. */
export interface ArchivedFile {
  readonly name: string;
  readonly text: string;
}

/** The files as a .tar.gz, below one folder. @param wallMs their time */
export async function tarGzip(
  folder: string,
  files: readonly ArchivedFile[],
  wallMs: number,
): Promise<Buffer> {
  const entries = files.map(({ name, text }) => {
    const body = new TextEncoder().encode(text);
    const mtime = new Date(wallMs);
    return { header: { name: `${folder}/${name}`, size: body.length, mode: 0o600, mtime }, body };
  });
  return promisify(gzip)(await packTar(entries));
}
