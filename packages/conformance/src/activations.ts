/** The activations of a case, block by block as NUMERICS §3 cuts them. */
import { DS_DEPTHWISE_CONV2D } from '@dsconv/core';
import type { DataKind, OperatorCase } from './case.js';
import type { Random } from './random.js';

/** Where one block lies in the NHWC array, and what its numbers may be. */
interface Block {
  start: number;
  length: number;
  pixel: number;
  /** Largest mantissa, `2^(m-1) - 1`; 127 for float activations. */
  limit: number;
}

/** float32 NHWC. */
export function activations(c: OperatorCase, random: Random): Float32Array {
  const [batch, height, width, channels] = c.inputShape;
  const x = new Float32Array(batch * height * width * channels);
  const limit = 2 ** ((c.activationBits ?? 8) - 1) - 1;
  const depth = c.kernel === DS_DEPTHWISE_CONV2D ? channels : channels / c.groups;
  for (let pixel = 0; pixel < batch * height * width; pixel++) {
    for (let group = 0; group < channels; group += depth) {
      for (let start = 0; start < depth; start += c.blockSize) {
        const length = Math.min(c.blockSize, depth - start);
        FILL[c.data](x, { start: pixel * channels + group + start, length, pixel, limit }, random);
      }
    }
  }
  if (c.data === 'nan') x[random.integer(0, x.length - 1)] = NaN;
  if (c.data === 'infinity') {
    x[random.integer(0, (x.length >> 1) - 1)] = Infinity;
    x[random.integer(x.length >> 1, x.length - 1)] = -Infinity;
  }
  return x;
}

type Fill = (x: Float32Array, block: Block, random: Random) => void;

const FILL: Record<DataKind, Fill> = {
  integers: wholeNumbers,
  nan: wholeNumbers,
  infinity: wholeNumbers,
  rounding,
  extremes,
  sparse,
  tiny,
  random: (x, block, random) => bell(x, block, 2 ** random.integer(-3, 3), random),
  wide,
};

/** Whole numbers up to `limit` times a power of two; one of them lies in the highest binade, so that M equals the number. */
function wholeNumbers(x: Float32Array, { start, length, limit }: Block, random: Random): void {
  const scale = 2 ** random.integer(-1, 1);
  for (let i = 0; i < length; i++) x[start + i] = random.integer(-limit, limit) * scale;
  const top = start + random.integer(0, length - 1);
  x[top] = random.sign() * random.integer((limit + 1) / 2, limit) * scale;
}

/** Halves, which round to even; `limit + 1/2`, which rounds beyond the clamp; and the float just below a power of two. */
function rounding(x: Float32Array, { start, length, limit }: Block, random: Random): void {
  const scale = 2 ** random.integer(-1, 1);
  const halves = 2 * limit + 1;
  for (let i = 0; i < length; i++) x[start + i] = (random.integer(-halves, halves) / 2) * scale;
  const top = start + random.integer(0, length - 1);
  const justBelow = (limit + 1) * (1 - 2 ** -24);
  x[top] = random.sign() * random.pick([limit, limit + 0.5, justBelow, (limit + 1) / 2]) * scale;
}

/** Every mantissa at the clamp: all positive, all negative, or signs at random, pixel by pixel. */
function extremes(x: Float32Array, { start, length, pixel, limit }: Block, random: Random): void {
  for (let i = 0; i < length; i++) {
    x[start + i] = limit * [1, -1, random.sign()][pixel % 3]!;
  }
}

function sparse(x: Float32Array, block: Block, random: Random): void {
  wholeNumbers(x, block, random);
  const empty = random.chance(0.5);
  let top = block.start;
  for (let i = block.start; i < block.start + block.length; i++) {
    if (Math.abs(x[i]!) > Math.abs(x[top]!)) top = i;
  }
  for (let i = block.start; i < block.start + block.length; i++) {
    if (empty || (i !== top && random.chance(0.5))) x[i] = random.chance(0.5) ? 0 : -0;
  }
}

function tiny(x: Float32Array, block: Block, random: Random): void {
  wholeNumbers(x, block, random);
  const everywhere = random.chance(0.4);
  // Where only some are tiny, the first block value stays large enough to fix the exponent.
  const scale = (i: number) => (everywhere ? 1 : i === block.start ? 0 : random.chance(0.3) ? 1 : 0);
  if (!everywhere) x[block.start] = random.sign() * block.limit;
  for (let i = block.start; i < block.start + block.length; i++) {
    if (scale(i) === 1) x[i] = random.sign() * 2 ** -random.integer(101, 149);
  }
  if (!everywhere) alignToFirst(x, block);
}

/** Whole numbers again, after the first value of the block was set to the limit. */
function alignToFirst(x: Float32Array, { start, length }: Block): void {
  for (let i = start + 1; i < start + length; i++) {
    if (Math.abs(x[i]!) > 2 ** -100) x[i] = Math.trunc(x[i]! / 2);
  }
}

function bell(x: Float32Array, { start, length }: Block, scale: number, random: Random): void {
  for (let i = 0; i < length; i++) {
    x[start + i] = random.chance(0.2) ? 0 : random.bell() * scale;
  }
}

/** A magnitude per pixel, from the smallest exponent that does not count as zero up to one whose sums stay finite. */
function wide(x: Float32Array, block: Block, random: Random): void {
  const exponents = [-100, 90, -60, 20, -99, 0, 60];
  const scale = 2 ** exponents[block.pixel % exponents.length]!;
  bell(x, block, scale, random);
  x[block.start] = random.sign() * (1 + random.uniform() * 0.99) * scale;
}
