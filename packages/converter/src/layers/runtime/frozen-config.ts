/** The configuration of a frozen layer, checked: it comes from a file. */
import { ACTIVATIONS, type Activation, InvalidArgumentError } from '@dsconv/core';

export interface FrozenConfig {
  /** `[kh, kw, I, O]`, or `[kh, kw, C, multiplier]`. */
  filterShape: [number, number, number, number];
  /** Weight bits; 0 where the filter is a float tensor. */
  bits: number;
  blockSize: number;
  /** Mantissa bits of activations; 0 for float ones. */
  activationBits: number;
  strides: [number, number];
  dilations: [number, number];
  padding: 'same' | 'valid' | 'explicit';
  /** `[top, bottom, left, right]` where the padding is 'explicit'. */
  explicitPaddings: number[];
  groups: number;
  activation: Activation;
  leakyreluAlpha: number;
  /** A Keras activation behind it, or null. */
  outerActivation: string | null;
  hasBias: boolean;
  hasSlopes: boolean;
}

/** @throws InvalidArgumentError naming the layer's field that is missing or out of range */
export function checkFrozenConfig(args: Readonly<Record<string, unknown>>): FrozenConfig {
  const name = String(args.name ?? 'a frozen layer');
  const demand = (holds: boolean, field: string, expected: string): void => {
    if (holds) return;
    throw new InvalidArgumentError(
      `layer '${name}' has ${field} ${JSON.stringify(args[field])}; expected ${expected}`,
    );
  };
  const naturals = (value: unknown, length: number, least: number): boolean =>
    Array.isArray(value) &&
    value.length === length &&
    value.every((n) => Number.isSafeInteger(n) && n >= least);
  const within = (value: unknown, low: number, high: number): boolean =>
    Number.isInteger(value) && (value as number) >= low && (value as number) <= high;
  const { bits, activationBits, padding, activation, outerActivation } = args;
  demand(naturals(args.filterShape, 4, 1), 'filterShape', 'four positive integers');
  demand(bits === 0 || within(bits, 2, 8), 'bits', 'an integer from 2 to 8, or 0');
  demand(within(args.blockSize, 1, 2 ** 24), 'blockSize', 'a positive integer');
  demand(
    activationBits === 0 || within(activationBits, 2, 8),
    'activationBits',
    'an integer from 2 to 8, or 0',
  );
  demand(naturals(args.strides, 2, 1), 'strides', 'two positive integers');
  demand(naturals(args.dilations, 2, 1), 'dilations', 'two positive integers');
  demand(
    padding === 'same' || padding === 'valid' || padding === 'explicit',
    'padding',
    "'same', 'valid' or 'explicit'",
  );
  demand(
    padding !== 'explicit' || naturals(args.explicitPaddings, 4, 0),
    'explicitPaddings',
    'four pads of pixels',
  );
  demand(within(args.groups, 1, 2 ** 24), 'groups', 'a positive integer');
  demand(ACTIVATIONS.includes(activation as Activation), 'activation', `one of ${ACTIVATIONS.join(', ')}`);
  demand(Number.isFinite(args.leakyreluAlpha), 'leakyreluAlpha', 'a number');
  demand(
    outerActivation === null || outerActivation === undefined || typeof outerActivation === 'string',
    'outerActivation',
    'the name of an activation, or null',
  );
  demand(typeof args.hasBias === 'boolean', 'hasBias', 'true or false');
  demand(args.hasSlopes === (activation === 'prelu'), 'hasSlopes', "true with 'prelu' only");
  return {
    filterShape: args.filterShape as FrozenConfig['filterShape'],
    bits: bits as number,
    blockSize: args.blockSize as number,
    activationBits: activationBits as number,
    strides: args.strides as [number, number],
    dilations: args.dilations as [number, number],
    padding: padding as FrozenConfig['padding'],
    explicitPaddings: padding === 'explicit' ? (args.explicitPaddings as number[]) : [],
    groups: args.groups as number,
    activation: activation as Activation,
    leakyreluAlpha: args.leakyreluAlpha as number,
    outerActivation: (outerActivation as string | null | undefined) ?? null,
    hasBias: args.hasBias as boolean,
    hasSlopes: args.hasSlopes as boolean,
  };
}
