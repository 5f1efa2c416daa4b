/** Options of `quantize` that say what to come to instead of which bits to take. */
import type { LayerOptions, QuantizationTarget } from '@dsconv/converter';
import { InvalidArgumentError as MalformedArgument } from 'commander';
import { UsageError } from './errors.js';

export type SizeTarget = { ratio: number } | { bytes: number };

const UNITS: Readonly<Record<string, number>> = { '': 1, b: 1, kb: 1e3, mb: 1e6, gb: 1e9 };

/** Parses `10x`, times smaller than the float network's file, or a length such as `1.5MB`; powers of 1000. */
export function sizeTarget(text: string): SizeTarget {
  const [, digits, unit = ''] = /^(\d+(?:\.\d+)?)\s*(x|[kmg]?b)?$/i.exec(text.trim()) ?? [];
  const value = Number(digits);
  if (!(value > 0))
    throw new MalformedArgument('Expected times smaller, such as 10x, or a size such as 1.5MB.');
  return unit.toLowerCase() === 'x' ? { ratio: value } : { bytes: value * UNITS[unit.toLowerCase()]! };
}

/** Parses a positive number. */
export function positive(text: string): number {
  const value = text.trim() === '' ? Number.NaN : Number(text);
  if (!(value > 0 && Number.isFinite(value))) throw new MalformedArgument('Expected a positive number.');
  return value;
}

/** Parses `1%` or `0.01`. */
export function part(text: string): number {
  const [, digits, sign] = /^(\d+(?:\.\d+)?|\.\d+)\s*(%)?$/.exec(text.trim()) ?? [];
  const value = Number(digits) / (sign ? 100 : 1);
  if (!(value < 1)) throw new MalformedArgument('Expected a part below the whole, such as 1% or 0.01.');
  return value;
}

/** Parses `PATTERN=BITS` or `PATTERN=BITS/BLOCK`, added to what was given before. */
export function layerSetting(
  text: string,
  before: Record<string, LayerOptions>,
): Record<string, LayerOptions> {
  const match = /^(.+)=(\d+)(?:\/(\d+))?$/.exec(text);
  if (!match)
    throw new MalformedArgument('Expected PATTERN=BITS or PATTERN=BITS/BLOCK, such as layer4.*=3/64.');
  const [, pattern, bits, block] = match;
  const { [pattern!]: _, ...others } = before;
  const blockSize = block === undefined ? {} : { blockSize: Number(block) };
  return { ...others, [pattern!]: { bits: Number(bits), ...blockSize } };
}

/** @throws UsageError when two targets are given, or a curve without one */
export function targetOf(options: {
  targetSize?: SizeTarget;
  targetBits?: number;
  maxDrop?: number;
  pareto?: string;
  calibrate?: string;
}): QuantizationTarget | null {
  const { targetSize, targetBits, maxDrop } = options;
  const given: [string, QuantizationTarget][] = [
    ...(targetSize === undefined ? [] : [['--target-size', targetSize] as [string, QuantizationTarget]]),
    ...(targetBits === undefined
      ? []
      : [['--target-bits', { bitsPerWeight: targetBits }] as [string, QuantizationTarget]]),
    ...(maxDrop === undefined ? [] : [['--max-drop', { maxDrop }] as [string, QuantizationTarget]]),
  ];
  if (given.length > 1) {
    throw new UsageError(`${given.map(([name]) => name).join(' and ')} are given; expected one of them`);
  }
  if (maxDrop !== undefined && options.calibrate === undefined) {
    throw new UsageError('--max-drop is measured on pictures; expected --calibrate <dir> with it');
  }
  if (options.pareto !== undefined && given.length === 0) {
    throw new UsageError(
      '--pareto is given without a target; expected --target-size, --target-bits or --max-drop with it',
    );
  }
  return given[0]?.[1] ?? null;
}
