/** Exact cases around the loop nest: where windows lie and which channels they read. */
import { ALL_SHIFTERS, type NumericCase, PER_CHANNEL } from '../case.js';
import { conv } from './exact-case.js';

/** Kernel sizes, strides, dilations, paddings and image sizes. */
export const geometries: readonly NumericCase[] = [
  conv('1x1', { kernelSize: [1, 1], inputShape: [2, 4, 5, 64], blockSize: 64, outChannels: 17 }),
  conv('1x1 image', { inputShape: [3, 1, 1, 33], outChannels: 8 }),
  conv('1x1 stride 2', { kernelSize: [1, 1], strides: [2, 2], inputShape: [1, 5, 6, 48] }),
  conv('5x5', { kernelSize: [5, 5], inputShape: [1, 6, 7, 18], outChannels: 7 }),
  conv('7x7 stride 2 of 3 channels, first layer', {
    kernelSize: [7, 7],
    strides: [2, 2],
    inputShape: [1, 15, 17, 3],
    outChannels: 33,
    bits: 8,
    shifters: PER_CHANNEL,
    blockSize: 64,
  }),
  conv('3x3 stride 2 of 3 channels, explicit padding', {
    strides: [2, 2],
    inputShape: [2, 9, 9, 3],
    outChannels: 8,
    bits: 8,
    shifters: PER_CHANNEL,
    pad: [
      [0, 1],
      [0, 1],
    ],
  }),
  conv('3x3 of 1 channel', { inputShape: [2, 7, 8, 1], bits: 8, shifters: PER_CHANNEL, outChannels: 4 }),
  conv('1x7', { kernelSize: [1, 7], inputShape: [1, 4, 9, 20] }),
  conv('7x1', { kernelSize: [7, 1], inputShape: [1, 9, 4, 20] }),
  conv('stride 2 of even size', { strides: [2, 2], inputShape: [1, 6, 8, 20] }),
  conv('stride 3 by 1', { strides: [3, 1], inputShape: [1, 8, 5, 20] }),
  conv('stride 1 by 2, 2x3 kernel', { strides: [1, 2], kernelSize: [2, 3], inputShape: [2, 5, 8, 20] }),
  conv('stride larger than the kernel', { strides: [3, 3], kernelSize: [1, 2], inputShape: [1, 8, 9, 20] }),
  conv('dilation 2', { dilations: [2, 2], inputShape: [1, 7, 8, 20] }),
  conv('dilation 3 by 1, valid', { dilations: [3, 1], pad: 'valid', inputShape: [1, 9, 5, 20] }),
  conv('stride 2 with dilation 2', { strides: [2, 2], dilations: [2, 2], inputShape: [1, 9, 8, 20] }),
  conv('stride 2 by 1 with dilation 1 by 3', {
    strides: [2, 1],
    dilations: [1, 3],
    pad: 2,
    inputShape: [1, 7, 9, 20],
  }),
  conv('valid', { pad: 'valid', inputShape: [1, 5, 6, 33] }),
  conv('valid, one output', { pad: 'valid', inputShape: [1, 3, 3, 33] }),
  conv('padding by a number', { pad: 1, strides: [2, 2], inputShape: [1, 6, 7, 20] }),
  conv('padding on the top and left only', {
    pad: [
      [2, 0],
      [1, 0],
    ],
    inputShape: [1, 5, 5, 20],
  }),
  conv('padding on the bottom and right only', {
    pad: [
      [0, 1],
      [0, 2],
    ],
    inputShape: [1, 5, 5, 20],
  }),
  conv('padding larger than the kernel', {
    pad: [
      [4, 3],
      [3, 5],
    ],
    inputShape: [1, 2, 3, 20],
    outChannels: 8,
  }),
  conv('batch of 3', { inputShape: [3, 4, 5, 24], blockSize: 16, strides: [2, 1] }),
  ...[1, 7, 8, 9, 17, 33].map((outChannels) =>
    conv(`${outChannels} output channels`, { outChannels, inputShape: [1, 3, 7, 36] }),
  ),
];

/** Grouped convolutions: no block crosses a border. */
export const groups: readonly NumericCase[] = [
  conv('2 groups, ragged blocks in each', { groups: 2, outChannels: 6, blockSize: 16 }),
  conv('4 groups', { groups: 4, outChannels: 12, inputShape: [1, 4, 5, 96], blockSize: 16 }),
  conv('2 groups, blocks larger than a group', { groups: 2, outChannels: 18, inputShape: [2, 4, 4, 40] }),
  conv('as many groups as channels', { groups: 10, outChannels: 20, inputShape: [1, 4, 5, 10] }),
  conv('2 groups, all shifters, stride 2', {
    groups: 2,
    outChannels: 10,
    blockSize: 16,
    strides: [2, 2],
    shifters: ALL_SHIFTERS,
    bits: 8,
  }),
];
