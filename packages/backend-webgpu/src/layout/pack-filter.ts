/** From a filter to the words that the shaders read (filter.wgsl, depthwise.wgsl). */
import { combinedScales, combinedShiftBias, type DSConvFilter } from '@dsconv/core';

/** Bits that a weight occupies on the GPU: 2, 4 or 8; widths between take the next wider. */
export type ContainerBits = 2 | 4 | 8;

export interface FilterWords {
  bits: ContainerBits;
  weights: Uint32Array;
  /** Scales, float16 pairs or float32, then the shift biases where there are any. */
  scales: Uint32Array;
  /** Weight words of a full block and of one tap, per output channel. Depthwise: of one tap in all. */
  blockWords: number;
  tapWords: number;
  scalePerBlock: boolean;
  scaleHalves: boolean;
  /** Where the shift biases begin in `scales`, 0 where there are none. */
  shiftAt: number;
}

export function containerBits(bits: number): ContainerBits {
  return bits <= 2 ? 2 : bits <= 4 ? 4 : 8;
}

/** Channels are padded to quads within each group. */
function quadsOf(outputs: number): number {
  return Math.ceil(outputs / 4);
}

export function packFilter(filter: DSConvFilter, groups: number): FilterWords {
  return filter.kind === 'depthwise' ? packDepthwise(filter) : packConvolution(filter, groups);
}

function packConvolution(filter: DSConvFilter, groups: number): FilterWords {
  const [kh, kw, depth, outputs] = filter.shape;
  const taps = kh * kw;
  const bits = containerBits(filter.bits);
  const perWord = 32 / bits;
  const blockSize = Math.min(filter.blockSize, depth);
  const { blocks } = filter;
  const blockWords = Math.ceil(blockSize / perWord);
  const tapWords = (blocks - 1) * blockWords + Math.ceil((depth - (blocks - 1) * blockSize) / perWord);
  const place = placeOf(outputs, groups);
  const row = groups * quadsOf(outputs / groups) * 4;
  const weights = new Uint32Array(taps * tapWords * row);
  const q = filter.unpack();
  const mask = 2 ** bits - 1;
  for (let tap = 0; tap < taps; tap++) {
    for (let i = 0; i < depth; i++) {
      const block = Math.floor(i / blockSize);
      const within = i - block * blockSize;
      const r = within % perWord;
      const shift = 8 * (r % 4) + bits * (r >> 2);
      const to = (tap * tapWords + block * blockWords + Math.floor(within / perWord)) * row;
      const from = (tap * depth + i) * outputs;
      for (let o = 0; o < outputs; o++) {
        const at = to + place[o]!;
        weights[at] = weights[at]! | ((q[from + o]! & mask) << shift);
      }
    }
  }
  return { bits, weights, blockWords, tapWords, ...packScales(filter, taps * blocks, place, row) };
}

/** Where each output channel stands in a row of quads. */
function placeOf(outputs: number, groups: number): Uint32Array {
  const perGroup = outputs / groups;
  const width = quadsOf(perGroup) * 4;
  return Uint32Array.from({ length: outputs }, (_, o) => Math.floor(o / perGroup) * width + (o % perGroup));
}

function packDepthwise(filter: DSConvFilter): FilterWords {
  const [kh, kw] = filter.shape;
  const outputs = filter.outChannels;
  const bits = containerBits(filter.bits);
  const perWord = 32 / bits;
  // A row of words is read in quads of words.
  const tapQuads = Math.ceil(outputs / perWord / 4);
  const weights = new Uint32Array(kh * kw * tapQuads * 4);
  const q = filter.unpack();
  const mask = 2 ** bits - 1;
  for (let n = 0; n < q.length; n++) {
    const o = n % outputs;
    const at = ((n - o) / outputs) * tapQuads * 4 + Math.floor(o / perWord);
    weights[at] = weights[at]! | ((q[n]! & mask) << ((o % perWord) * bits));
  }
  const place = placeOf(outputs, 1);
  return {
    bits,
    weights,
    blockWords: 0,
    tapWords: tapQuads,
    ...packScales(filter, 1, place, quadsOf(outputs) * 4),
  };
}

/** Float weights, rows of output channels, each group filled up to a multiple of four. */
export function floatQuads(
  weights: Float32Array,
  outputs: number,
  groups: number,
): Float32Array<ArrayBuffer> {
  const place = placeOf(outputs, groups);
  const row = groups * quadsOf(outputs / groups) * 4;
  const out = new Float32Array((weights.length / outputs) * row);
  for (let n = 0; n < weights.length; n++) {
    out[Math.floor(n / outputs) * row + place[n % outputs]!] = weights[n]!;
  }
  return out;
}

type ScaleWords = Pick<FilterWords, 'scales' | 'scalePerBlock' | 'scaleHalves' | 'shiftAt'>;

function packScales(filter: DSConvFilter, rows: number, place: Uint32Array, width: number): ScaleWords {
  const outputs = filter.outChannels;
  const kds = filter.stored('kds');
  const cds = filter.stored('cds');
  const only = kds && cds ? undefined : (kds ?? cds);
  const scaleRows = kds ? rows : 1;
  // One kind of scales keeps its format; a product of two is float32.
  const scaleHalves = only?.format === 'float16';
  const scaleWords = (scaleRows * width) / (scaleHalves ? 2 : 1);
  const shift = combinedShiftBias(filter);
  const scales = new Uint32Array(scaleWords + (shift ? rows * width : 0));
  const put = (to: Uint16Array | Float32Array, values: Uint16Array | Float32Array): void => {
    for (let n = 0; n < values.length; n++) {
      to[Math.floor(n / outputs) * width + place[n % outputs]!] = values[n]!;
    }
  };
  if (only?.format === 'float16') put(new Uint16Array(scales.buffer), only.data);
  else put(new Float32Array(scales.buffer), combinedScales(filter));
  if (shift) put(new Float32Array(scales.buffer, 4 * scaleWords), shift);
  return { scales, scalePerBlock: kds !== undefined, scaleHalves, shiftAt: shift ? scaleWords : 0 };
}
