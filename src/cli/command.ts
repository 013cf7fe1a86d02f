/** What the command line says, options already read. */
export interface Invocation {
  readonly configPath: string;
  /** The control socket, when it was given. */
  readonly socket: string | null;
  readonly json: boolean;
  /** What alone is meant, where a command can be narrowed. */
  readonly only: string | null;
  /** Do what can be done without risk. */
  readonly fix: boolean;
  /** Words after the command's name. */
  readonly rest: readonly string[];
}

export interface Command {
  /** Options that it has beyond those of every command. */
  readonly options?: readonly ("only" | "fix")[];
  readonly help: string;
  /** Resolves with the exit code: 0 fine, 1 warning, 2 critical, 3 unknown. */
  run(invocation: Invocation): Promise<number>;
}
