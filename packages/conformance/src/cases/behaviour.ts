/** Everything that is not a number: who writes where, what lives how long, and that gradients exist and are right. */
import {
  ALL_SHIFTERS,
  type Behaviour,
  type BehaviourCase,
  convolution,
  depthwise,
  type OperatorCase,
  PER_CHANNEL,
} from '../case.js';

const observe = (behaviour: Behaviour, on: OperatorCase): BehaviourCase => ({
  tier: 'behaviour',
  level: 'core',
  name: `${behaviour}: ${on.name}`,
  behaviour,
  on,
});

/** All optional inputs at once, and a ragged everything. */
const full = convolution('conv2d with everything', {
  inputShape: [2, 4, 5, 40],
  outChannels: 7,
  activation: 'prelu',
  residual: true,
});
const plain = convolution('conv2d', { inputShape: [1, 4, 4, 24], blockSize: 16, outChannels: 5 });
const deep = depthwise('depthwise', 1, { inputShape: [1, 4, 5, 11] });
const small = { inputShape: [2, 5, 6, 6] as [number, number, number, number], outChannels: 4 };

const gradients: OperatorCase[] = [
  convolution('linear', small),
  convolution('relu, stride 2', { ...small, activation: 'relu', strides: [2, 2] }),
  convolution('relu6, valid', { ...small, activation: 'relu6', pad: 'valid' }),
  convolution('silu, dilation 2', { ...small, activation: 'silu', dilations: [2, 2] }),
  convolution('leakyrelu, asymmetric padding', {
    ...small,
    activation: 'leakyrelu',
    pad: [
      [2, 0],
      [1, 3],
    ],
  }),
  convolution('prelu with residual, 2 groups', {
    ...small,
    activation: 'prelu',
    residual: true,
    groups: 2,
    blockSize: 2,
  }),
  convolution('stride 2 with dilation 2, all shifters', {
    ...small,
    strides: [2, 2],
    dilations: [2, 2],
    shifters: ALL_SHIFTERS,
  }),
  convolution('stride that leaves a border unread', {
    ...small,
    strides: [3, 2],
    pad: 'valid',
    kernelSize: [2, 2],
  }),
  convolution('stride larger than the kernel', {
    ...small,
    strides: [2, 3],
    kernelSize: [1, 1],
    residual: true,
  }),
  convolution('one scale per channel', { ...small, shifters: PER_CHANNEL, inputShape: [1, 5, 5, 3] }),
  depthwise('depthwise, stride 2', 1, { inputShape: [2, 5, 6, 5], strides: [2, 2] }),
  depthwise('depthwise, multiplier 2, relu', 2, { inputShape: [1, 5, 5, 3], activation: 'relu' }),
  depthwise('depthwise, dilation 2, asymmetric padding, prelu, residual', 1, {
    inputShape: [1, 6, 6, 5],
    dilations: [2, 2],
    pad: [
      [0, 1],
      [2, 0],
    ],
    activation: 'prelu',
    residual: true,
  }),
];

/** The behaviour tier. */
export const behaviourCases: readonly BehaviourCase[] = [
  observe('known-answer', plain),
  observe('inputs-untouched', full),
  observe('inputs-untouched', { ...full, name: 'random', data: 'random' }),
  observe('inputs-untouched', { ...full, name: 'NaN', data: 'nan' }),
  observe('inputs-untouched', deep),
  observe('filter-untouched', { ...full, shifters: ALL_SHIFTERS }),
  observe('filter-untouched', deep),
  observe('deterministic', full),
  observe('deterministic', { ...full, name: 'random', data: 'random' }),
  observe('deterministic', deep),
  observe('disposed-filter', plain),
  observe('disposed-filter', deep),
  observe('interleaved-filters', plain),
  observe('interleaved-filters', deep),
  observe('input-sizes', plain),
  observe('input-sizes', deep),
  observe('dispose-others', plain),
  observe('memory-flat', plain),
  observe('memory-flat', deep),
  observe('tidy', full),
  observe('rank-3', plain),
  observe('rank-3', { ...plain, name: 'conv2d with residual', residual: true }),
  observe('rank-3', deep),
  ...gradients.map((on) => observe('gradient', on)),
];
