/** Convolutions with integers, whose sums are exact, and their answers: what self-test.ts runs when a backend is created. */
import { DSConvFilter, type FilterKind, referenceDSConv2d, resolveGeometry } from '@dsconv/core';
import { CONVERTING, SHIFTED, TILES, type Tile, WGMMA_TILES } from './dsconv/tiles.js';
import { CHUNK } from './layout/image.js';

/** One convolution with integers, whose sums are exact. */
export interface KnownCase {
  kind: FilterKind;
  bits: 2 | 4 | 8;
  /** Float activations. */
  float?: boolean;
  /** With a bias of the distribution shifter. */
  shift?: boolean;
  kernel?: readonly [number, number];
  channels: number;
  outputs: number;
  height: number;
  width: number;
  blockSize?: number;
  /** Not the tile that the device would be given. */
  tile?: Tile;
  /** Parts that the depth is cut into. Default 1. */
  splits?: number;
}

const WIDTHS = [2, 4, 8] as const;

const convolution = {
  kind: 'conv2d',
  kernel: [3, 2],
  channels: 44,
  outputs: 6,
  height: 5,
  width: 6,
} as const;

/** Nearly fills a tile, with more steps than it has in shared memory and a depth that ends within the last block. */
function filling(tile: Tile, more: Partial<KnownCase> = {}): KnownCase {
  const block = CHUNK * (tile.block === 0 ? 3 : tile.block);
  const [height, width] = tile.pixels === 128 ? [11, 11] : [7, 8];
  const channels = Math.ceil((CHUNK * tile.chunks * (tile.stages + 2)) / block) * block - 5;
  const size = { channels, outputs: tile.channels - 4, height, width, blockSize: block };
  return { kind: 'conv2d', bits: 4, tile, ...size, ...more };
}

/** Integer products: what the tiers differ in. */
export const TIER_CASES: readonly KnownCase[] = [
  ...WIDTHS.flatMap((bits): KnownCase[] => [
    { ...convolution, bits },
    { ...convolution, bits, shift: true },
    { ...convolution, bits, channels: 3, outputs: 20 },
    { ...convolution, bits, channels: 3, outputs: 40 },
    { ...convolution, bits, kind: 'depthwise', channels: 20 },
    { ...convolution, bits, kind: 'depthwise' },
  ]),
  ...TILES.map((tile) => filling(tile)),
  filling(SHIFTED, { shift: true }),
  // Blocks whose sums may pass 2^22, and a depth that is cut into parts.
  filling(CONVERTING, { bits: 8, channels: 600, blockSize: 512 }),
  filling(TILES.at(-1)!, { splits: 3 }),
];

/** The tiles of groups of warps: each has a loop for each width of weights, one of which goes around the ring. */
export const WGMMA_CASES: readonly KnownCase[] = [
  ...WGMMA_TILES.flatMap((tile) =>
    WIDTHS.map((bits) => filling(tile, bits === 4 ? {} : { bits, channels: 3 * CHUNK * tile.chunks - 5 })),
  ),
  filling(WGMMA_TILES[0]!, { splits: 3 }),
];

/** Float activations, the same in all tiers. */
export const SHARED_CASES: readonly KnownCase[] = [
  { ...convolution, bits: 4, float: true },
  { ...convolution, bits: 4, float: true, shift: true },
  { ...convolution, bits: 8, kind: 'depthwise', float: true },
];

export function geometryOf({ kind, kernel = [1, 1], channels, outputs, height, width }: KnownCase) {
  const strided = kernel[0] > 1;
  return resolveGeometry({
    inputShape: [1, height, width, channels],
    kernelSize: kernel,
    outChannels: kind === 'depthwise' ? channels : outputs,
    strides: strided ? [1, 2] : 1,
    pad: strided
      ? [
          [1, 1],
          [0, 1],
        ]
      : 'valid',
  });
}

export function filterOf({
  kind,
  bits,
  shift,
  kernel = [1, 1],
  channels,
  outputs,
  blockSize = 32,
}: KnownCase): DSConvFilter {
  const depthwise = kind === 'depthwise';
  const shape: [number, number, number, number] = [...kernel, channels, depthwise ? 1 : outputs];
  const perChannel = depthwise || channels < 16;
  const scales = kernel[0] * kernel[1] * Math.ceil(channels / blockSize) * outputs;
  const powers = (length: number, seed: number) => ({
    format: 'float32' as const,
    data: integers(length, 2, seed).map((power) => 2 ** power),
  });
  const high = 2 ** (bits - 1);
  const count = shape.reduce((product, d) => product * d, 1);
  const q = Int8Array.from(integers(count, high, 3), (value) => Math.min(value, high - 1));
  const shifters = perChannel
    ? { cds: powers(depthwise ? channels : outputs, 5) }
    : { kds: powers(scales, 5), ...(shift && { kdsBias: powers(scales, 9) }) };
  return DSConvFilter.fromIntegers({ kind, shape, bits, blockSize, ...shifters }, q);
}

/** Whole numbers from -`most` to `most`, the same every time. */
export function integers(length: number, most: number, seed: number): Float32Array {
  let s = seed;
  return Float32Array.from({ length }, () => {
    s = (Math.imul(s, 1664525) + 1013904223) >>> 0;
    return Math.floor((s / 2 ** 32) * (2 * most + 1)) - most;
  });
}

/** Activations are whole numbers below 128 and scales powers of two: every sum is exact, so there is one answer. */
export function answerOf(
  known: KnownCase,
  filter: DSConvFilter,
  x: Float32Array,
  bias: Float32Array,
): Float32Array | Float64Array {
  if (known.tile) return productOf(filter, x, bias);
  const geometry = geometryOf(known);
  return referenceDSConv2d({ x, bias }, filter, { geometry, activationBits: known.float ? null : 8 }).output;
}

/** The same for one tap and whole numbers that rounding leaves alone, block by block: so quick that making a backend does not take seconds. */
function productOf(filter: DSConvFilter, x: Float32Array, bias: Float32Array): Float64Array {
  const [, , channels, outputs] = filter.shape;
  const [q, kds, shifts] = [filter.unpack(), filter.scales('kds')!, filter.scales('kdsBias')];
  const out = Float64Array.from({ length: (x.length / channels) * outputs }, (_, n) => bias[n % outputs]!);
  for (let pixel = 0; pixel < x.length / channels; pixel++) {
    for (let i = 0; i < channels; i++) {
      const value = x[pixel * channels + i]!;
      const row = Math.floor(i / filter.blockSize) * outputs;
      for (let o = 0; o < outputs; o++) {
        const weight = kds[row + o]! * q[i * outputs + o]! + (shifts ? shifts[row + o]! : 0);
        out[pixel * outputs + o] = out[pixel * outputs + o]! + weight * value;
      }
    }
  }
  return out;
}
