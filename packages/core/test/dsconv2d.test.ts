import '@tensorflow/tfjs-backend-cpu';
import { setBackend, type Tensor, tensor, tensor1d, tensor4d, zeros } from '@tensorflow/tfjs-core';
import { beforeEach, describe, expect, it } from 'vitest';
import {
  DisposedError,
  type DSConv2dOptions,
  DSConvFilter,
  dsconv2d,
  dsDepthwiseConv2d,
  InvalidArgumentError,
  type Padding,
  UnsupportedError,
} from '../src/index.js';
import { registerReferenceBackend } from './reference-backend.js';

const backendName = registerReferenceBackend('reference');
registerReferenceBackend('picky', {
  supports: ({ bits }) => (bits === 3 ? { reason: '3-bit weights are not implemented' } : true),
});

/** `[1, 1, 2, O]` of ones, blocks of `blockSize`. */
function pointwise(outputs: number, bits = 4, blockSize = 2): DSConvFilter {
  const kds = {
    format: 'float32' as const,
    data: new Float32Array(Math.ceil(2 / blockSize) * outputs).fill(1),
  };
  const shape: [number, number, number, number] = [1, 1, 2, outputs];
  return DSConvFilter.fromIntegers(
    { kind: 'conv2d', shape, bits, blockSize, kds },
    new Int8Array(2 * outputs).fill(1),
  );
}
const perChannel = DSConvFilter.fromIntegers(
  {
    kind: 'depthwise',
    shape: [1, 1, 2, 1],
    bits: 4,
    blockSize: 2,
    cds: { format: 'float32', data: Float32Array.of(1, 2) },
  },
  Int8Array.of(3, -4),
);

describe('dsconv2d', () => {
  beforeEach(() => setBackend(backendName));

  it('computes, with and without batch', async () => {
    const filter = pointwise(1);
    const y4 = dsconv2d(tensor4d([64, 127, 100, 3], [1, 1, 2, 2]), filter, 1, 'valid');
    expect([y4.shape, ...(await y4.data())]).toEqual([[1, 1, 2, 1], 191, 103]);
    const y3 = dsconv2d(tensor([64, 127, 100, 3], [1, 2, 2]) as never, filter, 1, 'valid', {
      residual: tensor([-200, 1], [1, 2, 1]),
      activation: 'relu',
    }) as Tensor;
    expect([y3.shape, ...(await y3.data())]).toEqual([[1, 2, 1], 0, 104]);
  });

  it('computes depthwise', async () => {
    const y = dsDepthwiseConv2d(tensor4d([64, 127], [1, 1, 1, 2]), perChannel, 1, 'same', {
      bias: tensor1d([0.5, 1]),
    });
    expect([...(await y.data())]).toEqual([192.5, -1015]);
  });

  it('takes slopes and biases with leading ones, as tf.fused does', async () => {
    const y = dsconv2d(tensor4d([-64, -1], [1, 1, 1, 2]), pointwise(1), 1, 'valid', {
      bias: tensor([1], [1, 1, 1]),
      activation: 'prelu',
      preluActivationWeights: tensor([0.5], [1, 1, 1]),
    });
    expect([...(await y.data())]).toEqual([-32]);
  });

  it('has the documented defaults', async () => {
    const y = dsconv2d(tensor4d([-64, -1], [1, 1, 1, 2]), pointwise(1), 1, 'valid', {
      activation: 'leakyrelu',
    });
    expect([...(await y.data())]).toEqual([...Float32Array.of(-65 * 0.2)]);
  });

  const x = () => zeros([1, 4, 4, 2]) as never;
  const call =
    (options: object, strides: unknown = 1, pad: unknown = 'same') =>
    () =>
      dsconv2d(x(), pointwise(4), strides as number, pad as Padding, options as DSConv2dOptions);

  const refusals: [string, () => unknown, string][] = [
    [
      'dtype of x',
      () => dsconv2d(zeros([1, 4, 4, 2], 'int32') as never, pointwise(4), 1, 'same'),
      'x has dtype int32; expected float32',
    ],
    [
      'rank of x',
      () => dsconv2d(zeros([4, 2]) as never, pointwise(4), 1, 'same'),
      'x has shape [4,2]; expected [batch, height, width, channels] or [height, width, channels]',
    ],
    [
      'kind of filter',
      () => dsconv2d(x(), perChannel, 1, 'same'),
      "filter is of kind 'depthwise'; expected 'conv2d'",
    ],
    [
      'kind of filter, depthwise',
      () => dsDepthwiseConv2d(x(), pointwise(2), 1, 'same'),
      "filter is of kind 'conv2d'; expected 'depthwise'",
    ],
    [
      'channels',
      () => dsconv2d(zeros([1, 4, 4, 3]) as never, pointwise(4), 1, 'same'),
      'x has 3 channels and groups is 1, but the filter of shape [1,1,2,4] expects 2 channels',
    ],
    [
      'channels, depthwise',
      () => dsDepthwiseConv2d(zeros([1, 4, 4, 3]) as never, perChannel, 1, 'same'),
      'x has 3 channels and groups is 1, but the filter of shape [1,1,2,1] expects 2 channels',
    ],
    [
      'groups and channels',
      call({ groups: 2 }),
      'x has 2 channels and groups is 2, but the filter of shape [1,1,2,4] expects 4 channels',
    ],
    [
      'groups and outputs',
      () => dsconv2d(zeros([1, 4, 4, 6]) as never, pointwise(4), 1, 'same', { groups: 3 }),
      "groups is 3; expected a divisor of the filter's 4 output channels",
    ],
    ['groups', call({ groups: 0 }), 'groups is 0; expected a positive integer'],
    ['strides', call({}, 0), 'strides is 0; expected one or two positive integers'],
    ['dilations', call({ dilations: -1 }), 'dilations is -1; expected one or two positive integers'],
    [
      'pad',
      call({}, 1, 'around'),
      "pad is \"around\"; expected 'same', 'valid', a number or [[top, bottom], [left, right]]",
    ],
    [
      'activation',
      call({ activation: 'gelu' }),
      "activation is 'gelu'; expected one of linear, relu, relu6, silu, leakyrelu, prelu",
    ],
    ['leakyreluAlpha', call({ leakyreluAlpha: NaN }), 'leakyreluAlpha is NaN; expected a finite number'],
    [
      'activationBits',
      call({ activationBits: 9 }),
      'activationBits is 9; expected an integer from 2 to 8, or null',
    ],
    [
      'block size too large for exact sums',
      () => dsconv2d(x(), pointwise(4, 8, 2048), 1, 'same'),
      'blockSize is 2048 at 8 weight bits and 8 activation bits; expected at most 1032, so that sums stay exact',
    ],
    [
      'outputFormat.bits',
      call({ outputFormat: { bits: 1, blockSize: 2 } }),
      'outputFormat.bits is 1; expected an integer from 2 to 8',
    ],
    [
      'outputFormat.blockSize',
      call({ outputFormat: { bits: 8, blockSize: 0.5 } }),
      'outputFormat.blockSize is 0.5; expected a positive integer',
    ],
    [
      'outputFormat.groups',
      call({ outputFormat: { bits: 8, blockSize: 2, groups: 3 } }),
      'outputFormat.groups is 3; expected a positive integer that divides 4 channels',
    ],
    [
      'shape of bias',
      call({ bias: tensor1d([1, 2, 3]) }),
      'bias is float32 of shape [3]; expected float32 [4]',
    ],
    [
      'dtype of bias',
      call({ bias: tensor1d([1, 2, 3, 4], 'int32') }),
      'bias is int32 of shape [4]; expected float32 [4]',
    ],
    [
      'shape of residual',
      call({ residual: zeros([1, 4, 4, 2]) }),
      'residual is float32 of shape [1,4,4,2]; expected float32 [1,4,4,4]',
    ],
    [
      'shape of residual without batch',
      () => dsconv2d(zeros([4, 4, 2]) as never, pointwise(4), 1, 'same', { residual: zeros([4, 4, 2]) }),
      'residual is float32 of shape [4,4,2]; expected float32 [4,4,4]',
    ],
    [
      'missing slopes',
      call({ activation: 'prelu' }),
      "preluActivationWeights is missing with activation 'prelu'; expected it with 'prelu' only",
    ],
    [
      'slopes without prelu',
      call({ preluActivationWeights: tensor1d([1, 2, 3, 4]) }),
      "preluActivationWeights is given with activation 'linear'; expected it with 'prelu' only",
    ],
    [
      'shape of slopes',
      call({ activation: 'prelu', preluActivationWeights: tensor1d([1]) }),
      'preluActivationWeights is float32 of shape [1]; expected float32 [4]',
    ],
  ];
  for (const [what, action, message] of refusals) {
    it(`refuses: ${what}`, () => {
      expect(action).toThrow(new InvalidArgumentError(message));
    });
  }

  it('allows the largest block whose sums are exact', () => {
    expect(() => dsconv2d(x(), pointwise(4, 8, 1024), 1, 'same')).not.toThrow();
    expect(() => dsconv2d(x(), pointwise(4, 2, 2048), 1, 'same')).not.toThrow();
    expect(() => dsconv2d(x(), pointwise(4, 8, 4096), 1, 'same', { activationBits: null })).not.toThrow();
  });

  it('refuses a disposed filter', () => {
    const filter = pointwise(4);
    filter.dispose();
    expect(() => dsconv2d(x(), filter, 1, 'same')).toThrow(DisposedError);
  });

  it("gives a backend's reason when it declines", async () => {
    await setBackend('picky');
    expect(() => dsconv2d(x(), pointwise(4, 3), 1, 'same')).toThrow(
      new UnsupportedError("backend 'picky' declines this DSConv2D: 3-bit weights are not implemented"),
    );
    expect(() => dsconv2d(x(), pointwise(4, 4), 1, 'same')).not.toThrow();
  });

  it('says what to do on a backend without the kernel', async () => {
    await setBackend('cpu');
    expect(() => dsconv2d(x(), pointwise(4), 1, 'same')).toThrow(
      new UnsupportedError(
        "the current TensorFlow.js backend 'cpu' has no DSConv2D kernel; expected a backend that a DSConv package registered, such as 'dsconv-cpu'",
      ),
    );
  });
});
