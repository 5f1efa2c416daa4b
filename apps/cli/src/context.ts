import type { Command } from 'commander';
import { EXIT_OK } from './errors.js';
import type { Io } from './io.js';

/** What a command gets: the streams, and the exit code for commands that fail in part but go on. */
export interface Context {
  readonly io: Io;
  exitCode: number;
  /** Set by commands that end by themselves after Ctrl-C, such as with a checkpoint. Others are left where they are. */
  finishesOnInterrupt: boolean;
}

export function createContext(io: Io): Context {
  return { io, exitCode: EXIT_OK, finishesOnInterrupt: false };
}

/** Adds one command to the program. */
export type RegisterCommand = (program: Command, context: Context) => void;

/** Prints the one JSON value of a command. Infinities, which JSON has not, become null. */
export function printJson(io: Io, value: unknown): void {
  io.stdout.write(`${JSON.stringify(value, null, 2)}\n`);
}
