/**
 * The control socket that a configuration names. Reading one costs more than asking a gateway: only who names no socket
 * pays for it.
 */
export async function socketOf(configPath: string): Promise<string> {
  const { loadConfig } = await import("../config/yaml-load.ts");
  return (await loadConfig(configPath)).control.socket;
}
