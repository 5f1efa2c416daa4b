/** Cases in which no float sum is ever rounded: outputs must be equal to the reference. Ordered from the plain to the peculiar. */
import { ALL_SHIFTERS, type NumericCase, PER_CHANNEL } from '../case.js';
import { conv, deep, extended } from './exact-case.js';
import { geometries, groups } from './exact-geometry.js';

/** Weight widths and block sizes; 40 and 70 channels leave ragged last blocks. */
const formats: NumericCase[] = [
  conv('plain 3x3'),
  ...[2, 3, 4, 5, 6, 7, 8].map((bits) =>
    conv(`${bits} bits, ragged last block`, { bits, inputShape: [1, 3, 4, 70], kernelSize: [2, 2] }),
  ),
  ...[16, 32, 64, 128].map((blockSize) =>
    conv(`blocks of ${blockSize}, ragged`, { blockSize, inputShape: [1, 3, 3, blockSize + 24] }),
  ),
  ...[1, 3, 100].map((blockSize) =>
    extended(
      conv(`blocks of ${blockSize}`, { blockSize, inputShape: [1, 3, 3, blockSize === 100 ? 230 : 11] }),
    ),
  ),
  conv('blocks of 1024, ragged', {
    blockSize: 1024,
    inputShape: [1, 1, 2, 1100],
    kernelSize: [1, 1],
    outChannels: 3,
  }),
  conv('block larger than the depth', { blockSize: 128, inputShape: [1, 4, 4, 20] }),
  ...[2, 4, 8].map((bits) =>
    conv(`${bits} bits, scales in float32`, {
      bits,
      scales: 'float32',
      blockSize: 64,
      inputShape: [1, 3, 3, 64],
    }),
  ),
  ...[4, 5, 6, 7, 3, 2].map((activationBits) => {
    const testCase = conv(`${activationBits}-bit activations`, { activationBits, data: 'rounding' });
    return activationBits === 4 ? testCase : extended(testCase);
  }),
  extended(conv('float activations', { activationBits: null })),
  extended(
    conv('float activations, all shifters, groups', {
      activationBits: null,
      shifters: ALL_SHIFTERS,
      groups: 2,
      outChannels: 6,
      blockSize: 16,
    }),
  ),
];

const shifters: NumericCase[] = [
  conv('one scale per channel', { shifters: PER_CHANNEL }),
  conv('kdsBias', { shifters: { kds: true, kdsBias: true, cds: false, cdsBias: false } }),
  conv('cds over kds', { shifters: { kds: true, kdsBias: false, cds: true, cdsBias: false } }),
  conv('cdsBias over kds', { shifters: { kds: true, kdsBias: false, cds: true, cdsBias: true } }),
  conv('cdsBias per channel', { shifters: { kds: false, kdsBias: false, cds: true, cdsBias: true } }),
  conv('cdsBias without cds', { shifters: { kds: true, kdsBias: false, cds: false, cdsBias: true } }),
  conv('all shifters', { shifters: ALL_SHIFTERS }),
  conv('all shifters, 8 bits, much padding', {
    shifters: ALL_SHIFTERS,
    bits: 8,
    inputShape: [1, 2, 3, 24],
    blockSize: 16,
    pad: 2,
    scales: 'float32',
  }),
];

const depthwises: NumericCase[] = [
  deep('depthwise', 1),
  deep('depthwise, multiplier 2', 2, { inputShape: [1, 4, 5, 21] }),
  deep('depthwise, stride 2, 32 channels', 1, { strides: [2, 2], inputShape: [1, 6, 7, 32] }),
  deep('depthwise, batch 2, explicit padding', 1, {
    inputShape: [2, 6, 6, 37],
    strides: [2, 2],
    pad: [
      [0, 1],
      [0, 1],
    ],
  }),
  deep('depthwise, dilation 2, blocks of 16', 1, {
    dilations: [2, 2],
    inputShape: [1, 6, 7, 41],
    blockSize: 16,
  }),
  deep('depthwise 5x5, 3 channels', 1, { kernelSize: [5, 5], inputShape: [1, 7, 6, 3] }),
  deep('depthwise, 4 bits, residual, relu6', 1, { bits: 4, residual: true, activation: 'relu6' }),
  deep('depthwise, prelu, 2 bits, multiplier 2', 2, {
    bits: 2,
    activation: 'prelu',
    inputShape: [1, 4, 4, 9],
  }),
  deep('depthwise, rounding', 1, { data: 'rounding', blockSize: 16 }),
  deep('depthwise, zero blocks', 1, { data: 'sparse', blockSize: 16, inputShape: [1, 5, 5, 40] }),
  deep('depthwise, NaN in one block', 1, { data: 'nan', blockSize: 16, inputShape: [1, 4, 4, 40] }),
  deep('depthwise, extremes', 1, { data: 'extremes', inputShape: [1, 4, 4, 24] }),
  extended(deep('depthwise, float activations', 1, { activationBits: null })),
];

/** Everything after the sum. */
const epilogues: NumericCase[] = [
  conv('no bias', { bias: false }),
  conv('residual', { residual: true }),
  conv('relu', { activation: 'relu' }),
  conv('relu6 with residual', { activation: 'relu6', residual: true }),
  conv('leakyrelu', { activation: 'leakyrelu' }),
  conv('leakyrelu with negative slope', { activation: 'leakyrelu', leakyreluAlpha: -0.5 }),
  conv('prelu', { activation: 'prelu', outChannels: 13 }),
  conv('prelu with residual, without bias', { activation: 'prelu', residual: true, bias: false }),
  conv('outputFormat', { outputFormat: { bits: 8, blockSize: 32, groups: 1 }, outChannels: 40 }),
  conv('outputFormat, 4 bits, ragged, relu, residual', {
    outputFormat: { bits: 4, blockSize: 16, groups: 1 },
    outChannels: 21,
    activation: 'relu',
    residual: true,
  }),
  conv('outputFormat, 2 groups', { outputFormat: { bits: 8, blockSize: 16, groups: 2 }, outChannels: 40 }),
  conv('outputFormat, 3 bits, 4 groups, prelu', {
    outputFormat: { bits: 3, blockSize: 3, groups: 4 },
    outChannels: 20,
    activation: 'prelu',
  }),
  deep('depthwise, outputFormat', 1, { outputFormat: { bits: 6, blockSize: 8, groups: 1 } }),
];

/** Accumulators at their limits: full blocks of the largest products, all signs. */
const extremes: NumericCase[] = [
  ...[2, 4, 8].map((bits) =>
    conv(`${bits} bits, largest products, blocks of 64`, {
      bits,
      data: 'extremes',
      blockSize: 64,
      inputShape: [1, 1, 3, 64],
      kernelSize: [1, 1],
      outChannels: 8,
      bias: false,
    }),
  ),
  ...[3, 5, 7].map((bits) =>
    conv(`${bits} bits, largest products, blocks of 128`, {
      bits,
      data: 'extremes',
      blockSize: 128,
      inputShape: [1, 1, 3, 128],
      kernelSize: [1, 1],
      outChannels: 9,
      bias: false,
    }),
  ),
  ...[2, 4, 8].map((bits) =>
    conv(`${bits} bits, largest products, blocks of 1024`, {
      bits,
      data: 'extremes',
      blockSize: 1024,
      inputShape: [1, 1, 3, 1024],
      kernelSize: [1, 1],
      outChannels: 5,
      bias: false,
    }),
  ),
  conv('4 bits, largest products, 3x3, blocks of 32', {
    data: 'extremes',
    inputShape: [1, 3, 4, 80],
    outChannels: 17,
    bias: false,
  }),
  conv('8 bits, largest products, one scale per channel', {
    bits: 8,
    data: 'extremes',
    shifters: PER_CHANNEL,
    inputShape: [1, 5, 5, 3],
    outChannels: 8,
  }),
];

/** Rounding to BFP, zeros, numbers that are not finite. */
const values: NumericCase[] = [
  conv('rounding: halves, clamp, just below a power of two', { data: 'rounding' }),
  conv('rounding, 1x1', { data: 'rounding', kernelSize: [1, 1], blockSize: 16, inputShape: [2, 3, 4, 40] }),
  conv('zero blocks', { data: 'sparse', blockSize: 16, inputShape: [1, 5, 5, 40] }),
  conv('zero blocks, all shifters', { data: 'sparse', blockSize: 16, shifters: ALL_SHIFTERS }),
  conv('subnormal numbers count as zero', { data: 'tiny', blockSize: 16 }),
  conv('subnormal numbers count as zero, 1x1', {
    data: 'tiny',
    kernelSize: [1, 1],
    inputShape: [1, 4, 5, 24],
    bias: false,
  }),
  conv('NaN in one block', { data: 'nan', blockSize: 16 }),
  conv('NaN in one block, 2 groups', { data: 'nan', blockSize: 16, groups: 2, outChannels: 6 }),
  conv('infinity in one block', { data: 'infinity', blockSize: 16 }),
  ...(['relu', 'relu6', 'leakyrelu', 'prelu'] as const).map((activation) =>
    conv(`NaN through ${activation}`, { data: 'nan', activation, kernelSize: [1, 1] }),
  ),
  conv('NaN through outputFormat', {
    data: 'infinity',
    kernelSize: [1, 1],
    groups: 2,
    outChannels: 12,
    blockSize: 16,
    outputFormat: { bits: 8, blockSize: 4, groups: 1 },
  }),
];

/** The exact tier. */
export const exactCases: readonly NumericCase[] = [
  ...formats,
  ...shifters,
  ...geometries,
  ...groups,
  ...depthwises,
  ...epilogues,
  ...extremes,
  ...values,
];
