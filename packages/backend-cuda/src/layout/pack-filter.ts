/** From a filter to the bytes that the kernels read (dsconv_mma.cuh, dsconv_filter.cuh). */
import { combinedScales, combinedShiftBias, type DSConvFilter } from '@dsconv/core';
import { CHUNK, roundUp } from './image.js';

/** Bits that a weight occupies on the device: widths between take the next wider. */
export type ContainerBits = 2 | 4 | 8;

/**
 * How weights lie in memory.
 * - fragments: as the operands of tensor core products, for convolutions
 * - rows: `[tap][depth][output]`, for depthwise convolutions and those of few input channels
 */
export type FilterForm = 'fragments' | 'rows';

export interface PackedFilter {
  form: FilterForm;
  bits: ContainerBits;
  weights: Uint32Array;
  /** Scales `[group][scaleRows][outputs]` in the filter's own format; outputs filled up to `paddedOutputs` with zeros. */
  scales: Uint16Array | Float32Array;
  /** taps * blocks, or 1 where a channel has one scale. */
  scaleRows: number;
  /** What multiplies ΣM, `[group][taps * blocks][outputs]`, or null. */
  shifts: Float32Array | null;
  /** Output channels of one group, filled up to a multiple of OUTPUTS. */
  paddedOutputs: number;
  /** The largest scale or shift; beyond MOST_SCALE only the plain kernels serve. */
  largestScale: number;
}

/** Outputs are filled up to multiples of this within each group: two operands of a tensor core product, whose words lie side by side. */
export const OUTPUTS = 16;

/** Chunks of depth that are loaded together. */
export const STEP_CHUNKS = 2;

/** Scales are multiplied with 2^24 in the kernels (ImageLayout), and sums of many must stay finite. */
export const MOST_SCALE = 2 ** 90;

/** Filters of less depth lie in rows: a tensor core product would be mostly zeros. */
export const LEAST_FRAGMENT_DEPTH = 16;

export function containerBits(bits: number): ContainerBits {
  return bits <= 2 ? 2 : bits <= 4 ? 4 : 8;
}

export function packFilter(filter: DSConvFilter, groups: number): PackedFilter {
  const rows = filter.kind === 'depthwise' || (groups === 1 && filter.shape[2] < LEAST_FRAGMENT_DEPTH);
  return rows ? packRows(filter) : packFragments(filter, groups);
}

/** How chunks of 32 depths follow each other: tap by tap, block by block, each block beginning with a new one. */
export interface Chunks {
  /** Of a full block. */
  block: number;
  /** Of all blocks of one tap. */
  group: number;
  /** Of all taps, filled up to whole steps. */
  padded: number;
}

export function chunksOf(taps: number, depth: number, blockSize: number): Chunks {
  const size = Math.min(blockSize, depth);
  const blocks = Math.ceil(depth / size);
  const block = Math.ceil(size / CHUNK);
  const group = (blocks - 1) * block + Math.ceil((depth - (blocks - 1) * size) / CHUNK);
  return { block, group, padded: roundUp(taps * group, STEP_CHUNKS) };
}

/** Words of one chunk (two chunks with 2 bits, which share words) and two operands. */
const WORDS: Record<ContainerBits, number> = { 2: 64, 4: 64, 8: 128 };

/**
 * Where a weight lies among the words of a fragment-ordered filter: `[group][pair of operands][chunk]`, then by width
 *
 *     8 bits   [lane][operand][half]   byte r is the weight
 *     4 bits   [lane][operand]         byte r: half 0 in the upper four bits, half 1 in the lower
 *     2 bits   [lane][operand]         byte r: half 0 and 1 of the even chunk, then of the odd one, from the uppermost bits on
 *
 * Output o of a group is column o % 8 of operand o / 8; depth k of a chunk is byte r = k % 4 of half k / 16 of lane 4 * column + k % 16 / 4, which is what
 * mma_s8_16x8x32 expects. The word is `outputWord + depthWord`.
 */
export function outputWord(bits: ContainerBits, chunks: number, pair: number, output: number): number {
  const perLane = bits === 8 ? 4 : 2;
  const operand = ((output >> 3) & 1) * (bits === 8 ? 2 : 1);
  const rowWords = (bits === 2 ? chunks / STEP_CHUNKS : chunks) * WORDS[bits];
  return pair * rowWords + (output % 8) * 4 * perLane + operand;
}

/** The part of depth `k` of a chunk, and the weight's lowest bit within the word. See {@link outputWord}. */
export function depthWord(bits: ContainerBits, chunk: number, k: number): { word: number; bit: number } {
  const half = k >> 4;
  const lane = (k % 16) >> 2;
  const byte = 8 * (k % 4);
  if (bits === 8) return { word: chunk * WORDS[8] + lane * 4 + half, bit: byte };
  if (bits === 4) return { word: chunk * WORDS[4] + lane * 2, bit: byte + 4 * (1 - half) };
  const within = 2 * (chunk % STEP_CHUNKS) + half;
  return { word: (chunk >> 1) * WORDS[2] + lane * 2, bit: byte + 6 - 2 * within };
}

function packFragments(filter: DSConvFilter, groups: number): PackedFilter {
  const [kh, kw, depth, outputs] = filter.shape;
  const taps = kh * kw;
  const bits = containerBits(filter.bits);
  const blockSize = Math.min(filter.blockSize, depth);
  const chunks = chunksOf(taps, depth, blockSize);
  const groupOutputs = outputs / groups;
  const paddedOutputs = roundUp(groupOutputs, OUTPUTS);
  const pairs = paddedOutputs / OUTPUTS;
  const stepWords = bits === 2 ? WORDS[2] : STEP_CHUNKS * WORDS[bits];
  const weights = new Uint32Array(groups * pairs * (chunks.padded / STEP_CHUNKS) * stepWords);
  const place = Uint32Array.from({ length: outputs }, (_, o) => {
    const output = o % groupOutputs;
    return outputWord(bits, chunks.padded, Math.floor(o / groupOutputs) * pairs + (output >> 4), output);
  });
  const q = filter.unpack();
  const mask = 2 ** bits - 1;
  for (let tap = 0; tap < taps; tap++) {
    for (let i = 0; i < depth; i++) {
      const block = Math.floor(i / blockSize);
      const within = i - block * blockSize;
      const chunk = tap * chunks.group + block * chunks.block + (within >> 5);
      const { word, bit } = depthWord(bits, chunk, within % CHUNK);
      const from = (tap * depth + i) * outputs;
      for (let o = 0; o < outputs; o++) {
        const at = place[o]! + word;
        weights[at] = weights[at]! | ((q[from + o]! & mask) << bit);
      }
    }
  }
  return {
    form: 'fragments',
    bits,
    weights,
    paddedOutputs,
    ...packScales(filter, taps * filter.blocks, groups, paddedOutputs),
  };
}

/** Rows of words, each of 32 / bits outputs from the lowest bits on; a row begins with a new word. */
function packRows(filter: DSConvFilter): PackedFilter {
  const [kh, kw, inner] = filter.shape;
  const outputs = filter.outChannels;
  const depth = filter.kind === 'depthwise' ? 1 : inner;
  const bits = containerBits(filter.bits);
  const paddedOutputs = roundUp(outputs, OUTPUTS);
  const rowWords = (paddedOutputs * bits) / 32;
  const weights = new Uint32Array(kh * kw * depth * rowWords);
  const q = filter.unpack();
  const mask = 2 ** bits - 1;
  const perWord = 32 / bits;
  for (let n = 0; n < q.length; n++) {
    const o = n % outputs;
    const at = ((n - o) / outputs) * rowWords + Math.floor(o / perWord);
    weights[at] = weights[at]! | ((q[n]! & mask) << ((o % perWord) * bits));
  }
  return {
    form: 'rows',
    bits,
    weights,
    paddedOutputs,
    ...packScales(filter, kh * kw * filter.blocks, 1, paddedOutputs),
  };
}

type Scales = Pick<PackedFilter, 'scales' | 'scaleRows' | 'shifts' | 'largestScale'>;

function packScales(filter: DSConvFilter, rows: number, groups: number, width: number): Scales {
  const outputs = filter.outChannels;
  const groupOutputs = outputs / groups;
  const kds = filter.stored('kds');
  const cds = filter.stored('cds');
  const only = kds && cds ? undefined : (kds ?? cds);
  const scaleRows = kds ? rows : 1;
  /** `[rows][outputs]` to `[group][rows][padded outputs]`. */
  const put = <A extends Uint16Array | Float32Array>(to: A, values: A, count: number): A => {
    for (let n = 0; n < values.length; n++) {
      const o = n % outputs;
      const row = Math.floor(o / groupOutputs) * count + (n - o) / outputs;
      to[row * width + (o % groupOutputs)] = values[n]!;
    }
    return to;
  };
  const combined = combinedScales(filter);
  const shift = combinedShiftBias(filter);
  const size = groups * scaleRows * width;
  // One kind of scales keeps its format; a product of two is float32.
  const scales =
    only?.format === 'float16'
      ? put(new Uint16Array(size), only.data, scaleRows)
      : put(new Float32Array(size), combined, scaleRows);
  const shifts = shift && put(new Float32Array(groups * rows * width), shift, rows);
  return { scales, scaleRows, shifts, largestScale: Math.max(largest(combined), shift ? largest(shift) : 0) };
}

function largest(values: Float32Array): number {
  let most = 0;
  for (const value of values) most = Math.max(most, Math.abs(value));
  return most;
}
