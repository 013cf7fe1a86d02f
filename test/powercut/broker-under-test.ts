import type { CloudEnd } from "./cloud-end.ts";

/** A broker as the harness runs it: one process on one store. */
export interface BrokerUnderTest {
  readonly name: string;
  /** The cloud that it forwards to, when it does. */
  readonly cloud: CloudEnd | null;
  /**
   * Starts it on a store; returns the port of its listener.
   * @throws Error when it does not start
   */
  start(storePath: string): Promise<number>;
  /** SIGKILL. */
  kill(): Promise<void>;
  /** SIGTERM. */
  terminate(): Promise<void>;
  /** What it has reported since its last start that an operator should know of its store. */
  reports(): readonly string[];
  /**
   * What does not fit between what it counts itself and what has come to the cloud, which has everything.
   * @param identities how many different messages have come, by journal and seq
   */
  imbalance(identities: number): Promise<string | null>;
}
