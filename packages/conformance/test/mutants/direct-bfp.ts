/** Block floating point once more, element by element and independent of core, with the faults of `mutations.ts`. */
import type { Switch } from './mutations.js';

/** One mantissa and one scale for every number of the tensor. */
export interface Quantized {
  mantissa: Float64Array;
  scale: Float64Array;
}

export interface Partition {
  channels: number;
  groups: number;
  blockSize: number;
  bits: number;
}

/** Where the block of channel `c` begins, and the channel after its end. */
export function blockOf(c: number, { channels, groups, blockSize }: Partition): [number, number] {
  const depth = channels / groups;
  const group = Math.floor(c / depth) * depth;
  const start = group + Math.floor((c - group) / blockSize) * blockSize;
  return [start, Math.min(start + blockSize, group + depth)];
}

export function quantize(x: ArrayLike<number>, partition: Partition, on: Switch): Quantized {
  const { channels, bits } = partition;
  const mantissa = new Float64Array(x.length);
  const scale = new Float64Array(x.length);
  for (let pixel = 0; pixel < x.length; pixel += channels) {
    let end = 0;
    for (let start = 0; start < channels; start = end) {
      end = blockOf(start, partition)[1];
      const step = stepOf(
        Array.from({ length: end - start }, (_, i) => x[pixel + start + i]!),
        bits,
        on,
      );
      for (let i = pixel + start; i < pixel + end; i++) {
        scale[i] = step;
        mantissa[i] =
          step === 0 || Number.isNaN(step) || !Number.isFinite(x[i]!) ? 0 : round(x[i]! / step, bits, on);
      }
    }
  }
  return { mantissa, scale };
}

/** The scale of a block. */
function stepOf(block: number[], bits: number, on: Switch): number {
  let values = block;
  if (on('nanSwallowed')) values = values.filter((value) => !Number.isNaN(value));
  if (on('infinitySwallowed')) values = values.filter((value) => Math.abs(value) !== Infinity);
  if (values.some((value) => !Number.isFinite(value))) return NaN;
  const largest = Math.max(0, ...values.map(Math.abs));
  if (on('zeroBlockDivides') && largest === 0) return NaN;
  if (largest < 2 ** -100 && !(on('tinyBlocksKept') && largest > 0)) return 0;
  let exponent = 0;
  while (2 ** exponent > largest) exponent--;
  while (2 ** (exponent + 1) <= largest) exponent++;
  if (on('exponentByLog2')) exponent = Math.floor(Math.fround(Math.log2(largest)));
  return 2 ** (exponent - (bits - 2));
}

function round(value: number, bits: number, on: Switch): number {
  const limit = 2 ** (bits - 1) - 1;
  const below = Math.floor(value);
  const rest = value - below;
  let rounded = rest < 0.5 || (rest === 0.5 && below % 2 === 0) ? below : below + 1;
  if (on('roundHalfUp')) rounded = Math.floor(value + 0.5);
  if (on('roundHalfAway')) rounded = Math.sign(value) * Math.floor(Math.abs(value) + 0.5);
  if (on('truncate')) rounded = Math.trunc(value);
  if (on('noClamp')) return (rounded << 24) >> 24;
  const low = on('clampLow') ? -limit - 1 : -limit;
  return Math.max(low, Math.min(limit, rounded));
}
