/** What commands talk to: the three streams, the environment and Ctrl-C, so that tests can stand in for all of them. */
import type { Command } from "commander";

export interface Output {
  /** Only terminals get colours and progress. */
  readonly isTerminal: boolean;
  write(text: string): void;
}

/**
 * Ctrl-C. Left alone it ends the process at once, even while native code keeps the event loop busy, so that is how most of a
 * command runs. Between `hold` and `letGo` it aborts `signal` instead, for work that has something to clean up or stops
 * between tokens; a second one ends the process.
 */
export interface Interrupt {
  readonly signal: AbortSignal;
  hold(): void;
  letGo(): void;
}

export interface CliIo {
  readonly stdin: AsyncIterable<Uint8Array | string>;
  readonly stdinIsTerminal: boolean;
  readonly stdout: Output;
  readonly stderr: Output;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly interrupt: Interrupt;
}

/** An io with what the global options say about it: what a command's action works with. */
export interface CommandContext extends CliIo {
  /** No notices, no progress. */
  readonly quiet: boolean;
  /** One JSON object on stdout in place of text. */
  readonly json: boolean;
}

/** Gives a command its description, options and action; the action asks for its context when it runs. */
export type DefineCommand = (command: Command, context: () => CommandContext) => void;
