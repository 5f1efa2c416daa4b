/**
 * Known-answer test: every backend runs it when it is created. A kernel that is wrong looks normal, so the answers are integers written down
 * here, not computed by code that could share the mistake.
 */
import type { DataType, KernelBackend, KernelFunc, TensorInfo } from '@tensorflow/tfjs-core';
import {
  type Activation,
  DS_DEPTHWISE_CONV2D,
  DSCONV2D,
  type DSConvAttributes,
  type DSConvKernelName,
} from './contract.js';
import { SelfTestError } from './errors.js';
import { DSConvFilter } from './filter.js';
import { resolveGeometry } from './geometry.js';

interface KnownAnswer {
  name: string;
  kernel: DSConvKernelName;
  x: number[];
  xShape: [number, number, number, number];
  filter: () => DSConvFilter;
  bias: number[];
  activation: Activation;
  answer: number[];
}

const one = (length: number) => ({ format: 'float32' as const, data: new Float32Array(length).fill(1) });

/**
 * A 2×2 image of 3 channels, a 2×2 filter with 'same' padding (below and to the right), blocks of 2 and 1 channels with scales 1 and 2.
 * All activations are integers below 128 whose blocks have exponent 6, so that M = x and every scale is 1.
 */
const CONVOLUTION: Omit<KnownAnswer, 'filter' | 'answer'> = {
  name: 'conv2d 2x2x3',
  kernel: DSCONV2D,
  xShape: [1, 2, 2, 3],
  x: [64, -127, 100, 127, 65, -90, -70, 3, 127, 64, 64, -64],
  bias: [1000, -5],
  activation: 'linear',
};

/** Weights of the convolution by width: the extremes of the format and a few small numbers, HWIO `[2, 2, 3, 2]`. */
function convolutionFilter(bits: number): DSConvFilter {
  const low = -(2 ** (bits - 1));
  const high = -low - 1;
  // prettier-ignore
  const q = [
    low,
    high,
    high,
    low,
    1,
    -1,
    0,
    1,
    low,
    high,
    -1,
    0,
    high,
    0,
    1,
    1,
    -2,
    low,
    0,
    -1,
    1,
    0,
    high,
    high,
  ];
  const kds = new Float32Array(4 * 2 * 2);
  for (let n = 0; n < kds.length; n++) kds[n] = n % 4 < 2 ? 1 : 2;
  return DSConvFilter.fromIntegers(
    { kind: 'conv2d', shape: [2, 2, 3, 2], bits, blockSize: 2, kds: { format: 'float32', data: kds } },
    Int8Array.from(q),
  );
}

const KNOWN_ANSWERS: readonly KnownAnswer[] = [
  { ...CONVOLUTION, filter: () => convolutionFilter(2), answer: [356, -392, 1015, 492, 1397, -207, 808, 59] },
  {
    ...CONVOLUTION,
    filter: () => convolutionFilter(4),
    answer: [-2368, -1148, 1027, 1632, 1451, -261, 808, 59],
  },
  {
    ...CONVOLUTION,
    filter: () => convolutionFilter(8),
    answer: [-56848, -16268, 1267, 24432, 2531, -1341, 808, 59],
  },
  {
    name: 'depthwise 2x2x3',
    kernel: DS_DEPTHWISE_CONV2D,
    xShape: [1, 2, 2, 3],
    x: CONVOLUTION.x,
    bias: [1000, -5, 0],
    activation: 'relu',
    filter: () =>
      DSConvFilter.fromIntegers(
        { kind: 'depthwise', shape: [2, 2, 3, 1], bits: 8, blockSize: 64, cds: one(3) },
        Int8Array.of(-128, 127, 1, 5, -6, 7, 0, 1, -1, 127, -128, 3),
      ),
    answer: [1571, 0, 0, 0, 8314, 0, 10280, 0, 0, 0, 8123, 0],
  },
];

/**
 * Runs the known-answer cases on a backend that need not be the current one.
 *
 * @param lookup the backend's kernel functions by name
 * @throws SelfTestError naming the case, the output and both values
 */
export async function runSelfTest(
  backendName: string,
  backend: KernelBackend,
  lookup: (kernel: DSConvKernelName) => KernelFunc,
): Promise<void> {
  for (const known of KNOWN_ANSWERS) await check(backendName, backend, lookup(known.kernel), known);
}

async function check(
  backendName: string,
  backend: KernelBackend,
  kernelFunc: KernelFunc,
  known: KnownAnswer,
): Promise<void> {
  const filter = known.filter();
  const attributes: DSConvAttributes = {
    filter,
    geometry: resolveGeometry({
      inputShape: known.xShape,
      kernelSize: [2, 2],
      outChannels: filter.outChannels,
      strides: 1,
      pad: 'same',
    }),
    activation: known.activation,
    leakyreluAlpha: 0.2,
    activationBits: 8,
    outputFormat: null,
  };
  const tensor = (values: number[], shape: number[]): TensorInfo => ({
    dataId: backend.write(Float32Array.from(values), shape, 'float32' as DataType),
    shape,
    dtype: 'float32',
  });
  const inputs = { x: tensor(known.x, known.xShape), bias: tensor(known.bias, [known.bias.length]) };
  const output = kernelFunc({ inputs, backend, attrs: attributes as never }) as TensorInfo;
  const found = (await backend.read(output.dataId)) as Float32Array;
  for (const info of [inputs.x, inputs.bias, output]) backend.disposeData(info.dataId);
  filter.dispose();
  known.answer.forEach((wanted, n) => {
    if (found[n] !== wanted) {
      throw new SelfTestError(
        `backend '${backendName}' computed ${found[n]} for output ${n} of the known case '${known.name}'; expected ${wanted}`,
      );
    }
  });
}
