/** Known answers of the shaders that only plans use, computed on the adapter when the first plan that uses one is compiled. */
import type { Step } from '@dsconv/core';
import type { TensorInfo } from '@tensorflow/tfjs-core';
import type { GpuState } from '../gpu/state.js';
import type { StepShader } from '../gpu/step-variants.js';
import { bufferOf, encode } from '../gpu/stream.js';
import { describeStep } from './steps.js';

type PlainStep = Exclude<Step, { op: 'convolution' }>;

/** A step without what only its program needs. */
type Unnamed<S> = S extends PlainStep ? Omit<S, 'output' | 'source'> : never;

interface KnownStep {
  step: Unnamed<PlainStep>;
  a: number[];
  b?: number[];
  c?: number[];
  answer: number[];
}

const window = {
  batch: 1,
  inHeight: 2,
  inWidth: 3,
  inChannels: 1,
  outHeight: 1,
  outWidth: 2,
  outChannels: 1,
  kernelHeight: 2,
  kernelWidth: 2,
  strideHeight: 2,
  strideWidth: 2,
  dilationHeight: 1,
  dilationWidth: 1,
  padTop: 0,
  padBottom: 0,
  padLeft: 0,
  padRight: 1,
  groups: 1,
};
const product = {
  op: 'matMul',
  a: 0,
  b: 1,
  batch: 1,
  m: 2,
  k: 2,
  n: 2,
  transposeA: false,
  transposeB: true,
  aStride: 0,
  bStride: 0,
  bias: Float32Array.of(1, 100),
  activation: 'relu',
  leakyreluAlpha: 0,
  slopes: null,
} as const;

/** Whole numbers, written down; sums and products of them are exact. */
const KNOWN: Record<StepShader, KnownStep[]> = {
  elementwise: [
    {
      step: { op: 'binary', code: 'reverseSub', a: 0, b: 1, count: 4, period: 2, activation: 'relu6' },
      a: [1, 2, -3, 40],
      b: [5, 50],
      answer: [4, 6, 6, 6],
    },
    {
      step: {
        op: 'scaleShift',
        input: 0,
        scale: Float32Array.of(2, -3),
        shift: Float32Array.of(1, 10),
        count: 4,
        activation: 'relu',
      },
      a: [1, 2, -3, 4],
      b: [2, -3],
      c: [1, 10],
      answer: [3, 4, 0, 0],
    },
    {
      step: { op: 'unary', code: 'sigmoid', input: 0, count: 2, alpha: 0, slopes: null },
      a: [0, -1000],
      answer: [0.5, 0],
    },
  ],
  pool: [
    {
      step: { op: 'pool', kind: 'max', input: 0, geometry: window },
      a: [1, 5, -9, 3, 2, -7],
      answer: [5, -7],
    },
    {
      step: { op: 'pool', kind: 'avg', input: 0, geometry: window },
      a: [1, 5, -9, 3, 3, -7],
      answer: [3, -8],
    },
  ],
  mean: [
    {
      step: { op: 'mean', input: 0, batch: 2, pixels: 2, channels: 2 },
      a: [1, 2, 3, 8, -1, -2, -3, -8],
      answer: [2, 5, -2, -5],
    },
  ],
  softmax: [
    {
      step: { op: 'softmax', input: 0, rows: 2, channels: 2 },
      a: [7, 7, -9, -9],
      answer: [0.5, 0.5, 0.5, 0.5],
    },
  ],
  copyRows: [
    {
      // Both parts are read from the same place.
      step: { op: 'concat', inputs: [0, 0], channels: [2, 1], pixels: 2 },
      a: [1, 2, 3, 4],
      answer: [1, 2, 1, 3, 4, 2],
    },
  ],
  pad: [
    {
      step: {
        op: 'pad',
        input: 0,
        batch: 1,
        height: 1,
        width: 2,
        channels: 1,
        top: 1,
        bottom: 0,
        left: 1,
        right: 0,
        value: 9,
      },
      a: [1, 2],
      answer: [9, 9, 9, 9, 1, 2],
    },
  ],
  matMul: [{ step: product, a: [1, 2, 3, 4], b: [5, 6, -7, 8], c: [1, 100], answer: [18, 109, 40, 111] }],
};

/** Division and exp may be a few units off in the last place. */
const TOLERANCE = 1e-5;

/**
 * Runs the known cases of a shader, whose pipeline is compiled.
 *
 * @returns null, or what is wrong
 */
export async function testStepShader(state: GpuState, shader: StepShader): Promise<string | null> {
  for (const known of KNOWN[shader]) {
    const found = await compute(state, known);
    const at = known.answer.findIndex(
      (value, n) => !(Math.abs(value - found[n]!) <= TOLERANCE * Math.max(1, Math.abs(value))),
    );
    if (at >= 0) {
      return `shader '${shader}' computes ${found[at]} for output ${at} of its known case; expected ${known.answer[at]}`;
    }
  }
  return null;
}

async function compute(state: GpuState, { step, a, b, c, answer }: KnownStep): Promise<Float32Array> {
  const { backend } = state;
  const tensor = (values: number[]) =>
    backend.makeTensorInfo([values.length], 'float32', Float32Array.from(values));
  const inputs = [a, b, c].map((values) => (values ? tensor(values) : null));
  const y = backend.makeTensorInfo([answer.length], 'float32');
  const tensors = [...inputs, y].filter((info) => info !== null);
  const slice = (info: TensorInfo | null | undefined) => (info ? { buffer: bufferOf(backend, info) } : null);
  const operands = { a: slice(inputs[0]), b: slice(inputs[1]), c: slice(inputs[2]), y: slice(y)! };
  try {
    const calls = describeStep(step as PlainStep).map((call) => call.dispatch(state, operands));
    encode(backend, calls, tensors);
    return (await backend.read(y.dataId)) as Float32Array;
  } finally {
    for (const { dataId } of tensors) backend.disposeData(dataId);
  }
}
