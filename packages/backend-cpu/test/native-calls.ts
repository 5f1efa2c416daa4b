/** One valid call of every entry point of the addon, to be damaged by the tests. */
import type { DSConvNative, FilterPacking, PlanDescription, Window2d } from '../native/interface.js';

/** Arguments of a call that works; `outputs` are the indices of those that it writes. */
export interface ValidCall {
  name: keyof DSConvNative;
  args: unknown[];
  outputs: number[];
}

export const floats = (length: number) => Float32Array.from({ length }, (_, n) => Math.sin(n * 1.7 + length));

/** 32 words of a call record: a 3×3 convolution of 4×5 pixels. */
export function record(channels: number, words: Record<number, number> = {}): Int32Array {
  const r = new Int32Array(32);
  r.set([8, 1, 4, 5, channels, 4, 5, 3, 3, 1, 1, 1, 1, 1, 1], 9);
  for (const [at, value] of Object.entries(words)) r[Number(at)] = value;
  return r;
}

export const packing = (inDepth: number, outChannels: number, taps = 9): FilterPacking => ({
  bits: 4,
  q: Int8Array.from({ length: taps * inDepth * outChannels }, (_, n) => (n % 16) - 8),
  taps,
  inDepth,
  outChannels,
  groups: 1,
  block: 16,
  scales: floats(taps * Math.ceil(inDepth / 16) * outChannels),
  perChannel: false,
  shiftBias: null,
});

export const depthwisePacking = (channels: number): FilterPacking => ({
  ...packing(1, channels),
  scales: floats(channels),
  perChannel: true,
});

const window: Window2d = {
  batch: 1,
  inH: 4,
  inW: 5,
  channels: 24,
  outH: 4,
  outW: 5,
  kh: 3,
  kw: 3,
  strideH: 1,
  strideW: 1,
  dilationH: 1,
  dilationW: 1,
  padTop: 1,
  padLeft: 1,
};

export function planDescription(native: DSConvNative): PlanDescription {
  const filter = native.packDSConv2d(packing(24, 40));
  return {
    buffers: [
      { format: 'f32', length: 480 },
      { format: 'bfp', pixels: 20, channels: 24, groups: 1, block: 16, mantissa: 8, storage: 4, sums: false },
      { format: 'f32', length: 800 },
      { format: 'f32', length: 800 },
      { format: 'f32', length: 40 },
      { format: 'f32', length: 7 },
      { format: 'f32', length: 7 },
      { format: 'f32', length: 80 },
    ],
    steps: [
      { op: 'convert', input: 0, output: 1, pixels: 20, channels: 24 },
      { op: 'dsconv2d', filter, call: record(24), input: 1, output: 2, bias: floats(40) },
      { op: 'unary', code: 1, input: 2, output: 3, n: 800 },
      { op: 'meanHW', input: 3, output: 4, batch: 1, hw: 20, channels: 40 },
      {
        op: 'matMul',
        a: 4,
        b: floats(280),
        output: 5,
        batch: 1,
        m: 1,
        k: 40,
        n: 7,
        aStride: 0,
        bStride: 0,
        bias: floats(7),
      },
      { op: 'softmax', input: 5, output: 6, rows: 1, channels: 7 },
      { op: 'concat', inputs: [4, 4], channels: [40, 40], output: 7, pixels: 1 },
    ],
    inputs: [0],
    outputs: [6, 7],
  };
}

export function validCalls(native: DSConvNative): ValidCall[] {
  const blocked = native.packDSConv2d(packing(24, 40));
  const stem = native.packDSConv2d({ ...packing(3, 40), scales: floats(40), perChannel: true });
  const depthwise = native.packDSDepthwise(depthwisePacking(24));
  const float = native.packConv2d(floats(9 * 24 * 40), 9, 24, 40, 1);
  const x = floats(20 * 24);
  const y = () => new Float32Array(20 * 40);
  const tail = [floats(40), null, floats(40), 0.2];
  const prelu = { 7: 5 };
  const ones = (length: number) => new Float32Array(length).fill(1);
  return [
    { name: 'packDSConv2d', args: [packing(24, 40)], outputs: [] },
    { name: 'packDSDepthwise', args: [depthwisePacking(24)], outputs: [] },
    { name: 'packConv2d', args: [floats(9 * 24 * 40), 9, 24, 40, 1], outputs: [] },
    { name: 'dsconv2d', args: [record(24, prelu), blocked, x, y(), ...tail], outputs: [3] },
    { name: 'dsconv2d', args: [record(3, { 24: 8, 25: 16 }), stem, x, y(), ...tail], outputs: [3] },
    { name: 'dsDepthwise', args: [record(24, { 27: 16 }), depthwise, x, y(), ...tail], outputs: [3] },
    { name: 'conv2d', args: [record(24), float, x, y(), ...tail], outputs: [3] },
    { name: 'depthwise', args: [record(24, { 26: 1 }), floats(216), x, y(), ...tail], outputs: [3] },
    { name: 'conv2dBackpropInput', args: [record(24), 40, y(), floats(8640), y()], outputs: [4] },
    { name: 'conv2dBackpropFilter', args: [record(24), 40, x, y(), new Float32Array(8640)], outputs: [4] },
    { name: 'depthwiseBackpropInput', args: [record(24), x, floats(216), y()], outputs: [3] },
    { name: 'depthwiseBackpropFilter', args: [record(24), x, x, new Float32Array(216)], outputs: [3] },
    { name: 'bfpRound', args: [x, y(), 20, 24, 1, 16, 8], outputs: [1] },
    { name: 'sum', args: [x, y(), 2, 10, 24], outputs: [1] },
    { name: 'copyBox', args: [x, y(), [3, 4], [20, 24], [1, 2], [10, 6], [5, 1]], outputs: [1] },
    { name: 'maxPoolGradient', args: [x, x, y(), window], outputs: [2] },
    { name: 'avgPoolGradient', args: [x, y(), window], outputs: [1] },
    { name: 'bfpGradient', args: [x, floats(20 * 24), y(), 20, 24, 1, 16, 8], outputs: [2] },
    { name: 'batchMoments', args: [x, new Float32Array(24), new Float32Array(24), 20, 24], outputs: [1, 2] },
    {
      name: 'batchNormalize',
      args: [x, y(), floats(24), ones(24), floats(24), floats(24), 1e-5, 20, 24],
      outputs: [1],
    },
    {
      name: 'batchNormGradient',
      args: [x, x, y(), y(), y(), floats(24), ones(24), floats(24), 1e-5, 20, 24],
      outputs: [2, 3, 4],
    },
    {
      name: 'matMul',
      args: [x, floats(960), y(), 1, 20, 24, 40, false, false, 0, 0, floats(40), 1, 0.2, null],
      outputs: [2],
    },
    { name: 'maxPool', args: [x, y(), window], outputs: [1] },
    { name: 'avgPool', args: [x, y(), window], outputs: [1] },
    { name: 'meanHW', args: [x, new Float32Array(24), 1, 20, 24], outputs: [1] },
    { name: 'binary', args: [0, x, floats(24), y(), 480, 24], outputs: [3] },
    { name: 'unary', args: [5, x, y(), 480, 0.2, floats(24), 24], outputs: [2] },
    { name: 'scaleShift', args: [x, floats(24), floats(24), y(), 480, 24], outputs: [3] },
    { name: 'softmax', args: [x, y(), 20, 24], outputs: [1] },
    { name: 'createPlan', args: [planDescription(native)], outputs: [] },
  ];
}
