/** Options that every command has, and parsers of option values. */
import { InvalidArgumentError } from '@dsconv/core';
import { type Command, InvalidArgumentError as MalformedArgument } from 'commander';

export interface CommonOptions {
  json?: boolean;
  backend?: string;
  verbose?: boolean;
}

/** Adds `--json`, `--backend` and `--verbose`, and examples below the help. */
export function withCommonOptions(command: Command, examples: readonly string[]): Command {
  return command
    .option('--json', 'print one JSON value on stdout, and nothing else')
    .option('--backend <name>', 'TensorFlow.js backend to compute on (default: the first that works)')
    .option('--verbose', 'say which backend is used and why others were not')
    .addHelpText('after', `\nExamples:\n${examples.map((line) => `  $ ${line}`).join('\n')}`);
}

/** Parses an integer; anything else is a usage error. */
export function integer(text: string): number {
  if (!/^[+-]?\d+$/.test(text.trim())) throw new MalformedArgument('Expected an integer.');
  return Number(text);
}

/** Parses `8` or `none`, which keeps activations float. Not null, which commander takes for a missing value. */
export function integerOrNone(text: string): number | 'none' {
  return text === 'none' ? text : integer(text);
}

/** Parses a comma-separated list. */
export function list(text: string): string[] {
  const items = text.split(',').map((item) => item.trim());
  if (items.some((item) => item === '')) throw new MalformedArgument('Expected names separated by commas.');
  return items;
}

/** Parses `4=0`: keep what leaves remainder 0 when divided by 4. */
export function remainder(text: string): { modulus: number; remainder: number } {
  const match = /^(\d+)=(\d+)$/.exec(text.trim());
  if (!match) throw new MalformedArgument('Expected MODULUS=REMAINDER, such as 4=0.');
  return { modulus: Number(match[1]), remainder: Number(match[2]) };
}

/** Parses numbers separated by commas, such as `-1,1`. */
export function numbers(text: string): number[] {
  const values = text.split(',').map((part) => (part.trim() === '' ? Number.NaN : Number(part)));
  if (!values.every(Number.isFinite)) throw new MalformedArgument('Expected numbers separated by commas.');
  return values;
}

/** Throws a typed error unless `low <= value <= high`. */
export function checkRange(name: string, value: number | undefined, low: number, high = Infinity): void {
  if (value === undefined || (value >= low && value <= high)) return;
  const expected = high === Infinity ? `at least ${low}` : `an integer from ${low} to ${high}`;
  throw new InvalidArgumentError(`${name} is ${value}; expected ${expected}`);
}
