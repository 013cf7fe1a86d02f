import type { SiteView } from "./election.ts";
import type { EtcdEntry } from "./etcd-port.ts";
import { type Keys, readHolder, readStanding } from "./records.ts";

/** What the keys of the election say. `garbage` are those that say nothing. */
export function viewOf(
  mirror: { readonly entries: ReadonlyMap<string, EtcdEntry>; readonly generation: number },
  keys: Keys,
): { readonly view: SiteView; readonly garbage: readonly string[] } {
  const standing = new Map<string, string>();
  const garbage: string[] = [];
  const { entries, generation } = mirror;
  const epoch = entries.get(keys.epoch);
  const holder = epoch === undefined ? null : readHolder(epoch);
  if (epoch !== undefined && holder === null) garbage.push(epoch.key);
  for (const entry of entries.values()) {
    if (entry.key === keys.epoch) continue;
    const one = readStanding(entry, keys);
    if (one === null) garbage.push(entry.key);
    else standing.set(one.lease, one.gateway);
  }
  return {
    view: { generation, holder, holderRevision: epoch?.modRevision ?? 0, standing },
    garbage,
  };
}
