import { readdir, readFile } from "node:fs/promises";

const NS_PER_MS = 1e6;

/** Milliseconds of the processor that all threads of a process have had: the ticks of /proc/PID/stat are too coarse for what is nearly nothing. */
export async function cpuMs(pid: number): Promise<number> {
  const threads = await readdir(`/proc/${pid}/task`);
  const texts = threads.map((id) => readFile(`/proc/${pid}/task/${id}/schedstat`, "utf8"));
  const ns = (await Promise.all(texts)).map((text) => Number(text.split(" ")[0]));
  return ns.reduce((sum, each) => sum + each, 0) / NS_PER_MS;
}

/** Milliseconds that the main thread of a process could have run and others had its core. */
export async function waitedMs(pid: number): Promise<number> {
  const text = await readFile(`/proc/${pid}/task/${pid}/schedstat`, "utf8");
  return Number(text.split(" ")[1]) / NS_PER_MS;
}
