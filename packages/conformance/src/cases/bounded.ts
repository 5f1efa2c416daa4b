/** Random numbers: each output within `4 n 2^-24 Σ|terms|` of the float64 reference. */
import {
  ALL_SHIFTERS,
  convolution,
  depthwise,
  type NumericCase,
  type OperatorCase,
  PER_CHANNEL,
} from '../case.js';

const conv = (name: string, overrides: Partial<OperatorCase> = {}): NumericCase => ({
  tier: 'bounded',
  level: 'core',
  ...convolution(`random, ${name}`, { data: 'random', ...overrides }),
});
const deep = (name: string, multiplier: number, overrides: Partial<OperatorCase> = {}): NumericCase => ({
  tier: 'bounded',
  level: 'core',
  ...depthwise(`random, ${name}`, multiplier, { data: 'random', ...overrides }),
});
const extended = (testCase: NumericCase): NumericCase => ({ ...testCase, level: 'extended' });

const formats: NumericCase[] = [2, 3, 4, 5, 6, 7, 8].map((bits) =>
  conv(`${bits} bits`, { bits, blockSize: 64, inputShape: [1, 5, 5, 100], outChannels: 17 }),
);

const networks: NumericCase[] = [
  conv('bottleneck 1x1', {
    kernelSize: [1, 1],
    inputShape: [1, 7, 7, 256],
    outChannels: 64,
    blockSize: 64,
    activation: 'relu',
  }),
  conv('bottleneck 3x3', { inputShape: [1, 7, 7, 64], outChannels: 64, blockSize: 64, activation: 'relu' }),
  conv('bottleneck end with residual', {
    kernelSize: [1, 1],
    inputShape: [1, 7, 7, 64],
    outChannels: 96,
    blockSize: 64,
    residual: true,
    activation: 'relu',
  }),
  conv('2 bits, blocks of 128', { bits: 2, blockSize: 128, inputShape: [1, 4, 5, 192], outChannels: 24 }),
  conv('first layer', {
    kernelSize: [7, 7],
    strides: [2, 2],
    inputShape: [1, 21, 21, 3],
    outChannels: 24,
    bits: 8,
    shifters: PER_CHANNEL,
    activation: 'relu',
  }),
  conv('block of the YOLO copies, silu', {
    inputShape: [1, 6, 6, 64],
    blockSize: 32,
    outChannels: 32,
    activation: 'silu',
    shifters: ALL_SHIFTERS,
    scales: 'float32',
  }),
  deep('depthwise, relu6', 1, { inputShape: [1, 8, 8, 40], activation: 'relu6' }),
  deep('depthwise, multiplier 2, stride 2', 2, { inputShape: [1, 7, 8, 13], strides: [2, 2] }),
  deep('depthwise, silu', 1, { inputShape: [2, 5, 5, 24], activation: 'silu' }),
];

const details: NumericCase[] = [
  conv('all shifters', { shifters: ALL_SHIFTERS }),
  conv('all shifters, groups, dilation', {
    shifters: ALL_SHIFTERS,
    groups: 2,
    outChannels: 10,
    blockSize: 16,
    dilations: [2, 2],
  }),
  conv('silu', { activation: 'silu', inputShape: [2, 4, 5, 24] }),
  conv('silu with residual, float32 scales', { activation: 'silu', residual: true, scales: 'float32' }),
  conv('leakyrelu', { activation: 'leakyrelu', leakyreluAlpha: 0.1 }),
  conv('prelu', { activation: 'prelu', outChannels: 14 }),
  conv('padding larger than the kernel, stride 3', {
    strides: [3, 3],
    pad: [
      [4, 3],
      [3, 5],
    ],
    inputShape: [1, 4, 5, 40],
  }),
  conv('blocks of 1024', {
    kernelSize: [1, 1],
    blockSize: 1024,
    inputShape: [1, 2, 2, 1500],
    outChannels: 9,
    bits: 8,
  }),
  conv('magnitudes from 2^-100 to 2^90, 1x1', {
    data: 'wide',
    kernelSize: [1, 1],
    inputShape: [1, 3, 7, 40],
    bias: false,
  }),
  conv('magnitudes from 2^-100 to 2^90, 3x3', { data: 'wide', inputShape: [1, 5, 7, 40] }),
  extended(conv('blocks of 1', { blockSize: 1, inputShape: [1, 4, 4, 19] })),
  extended(conv('blocks of 3', { blockSize: 3, inputShape: [1, 4, 4, 19] })),
  extended(conv('blocks of 100', { blockSize: 100, inputShape: [1, 3, 3, 230] })),
  ...[2, 3, 5, 6, 7].map((activationBits) =>
    extended(conv(`${activationBits}-bit activations`, { activationBits })),
  ),
  conv('4-bit activations', { activationBits: 4 }),
  extended(conv('float activations', { activationBits: null })),
  extended(
    conv('float activations, all shifters, silu', {
      activationBits: null,
      shifters: ALL_SHIFTERS,
      activation: 'silu',
    }),
  ),
  extended(conv('float activations, 2 groups', { activationBits: null, groups: 2, outChannels: 6 })),
  extended(deep('depthwise, float activations', 1, { activationBits: null })),
];

const outputFormats: NumericCase[] = [
  conv('outputFormat', { outputFormat: { bits: 8, blockSize: 32, groups: 1 }, outChannels: 40 }),
  conv('outputFormat, relu, residual', {
    outputFormat: { bits: 8, blockSize: 64, groups: 1 },
    outChannels: 72,
    activation: 'relu',
    residual: true,
  }),
  conv('outputFormat, 4 bits, 2 groups, silu', {
    outputFormat: { bits: 4, blockSize: 16, groups: 2 },
    outChannels: 40,
    activation: 'silu',
  }),
  conv('outputFormat, 2 bits, blocks of 1', {
    outputFormat: { bits: 2, blockSize: 1, groups: 1 },
    outChannels: 7,
  }),
  deep('depthwise, outputFormat, relu6', 1, {
    outputFormat: { bits: 8, blockSize: 16, groups: 1 },
    activation: 'relu6',
  }),
];

/** The bounded tier. */
export const boundedCases: readonly NumericCase[] = [...formats, ...networks, ...details, ...outputFormats];
