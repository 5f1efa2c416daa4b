/** Gradients against those TensorFlow.js derives for the float composite; the conformance kit has the harder geometries. */
// Registers the gradients of the stock kernels, which tfjs-core alone does not.
import '@tensorflow/tfjs-layers';
import {
  add,
  conv2d,
  depthwiseConv2d,
  grads,
  leakyRelu,
  memory,
  mul,
  prelu,
  relu,
  relu6,
  setBackend,
  sigmoid,
  type Tensor,
  type Tensor4D,
  tensor1d,
  tensor4d,
  tidy,
} from '@tensorflow/tfjs-core';
import { beforeAll, describe, expect, it } from 'vitest';
import {
  type Activation,
  dsconv2d,
  dsDepthwiseConv2d,
  quantizeDepthwiseFilter,
  quantizeFilter,
} from '../src/index.js';
import { registerReferenceBackend } from './reference-backend.js';

const wave = (length: number, step: number) => Float32Array.from({ length }, (_, n) => Math.sin(n * step));
// 8-bit mantissas with exponent 6: block floating point changes nothing, so both sides see the same activations.
const whole = (length: number) =>
  Float32Array.from({ length }, (_, n) => (n % 4 === 0 ? 64 + (n % 60) : (n * 37) % 64));

const floatActivation = (y: Tensor, activation: Activation, slopes: Tensor): Tensor => {
  switch (activation) {
    case 'linear':
      return y;
    case 'relu':
      return relu(y);
    case 'relu6':
      return relu6(y);
    case 'silu':
      return mul(y, sigmoid(y));
    case 'leakyrelu':
      return leakyRelu(y, 0.3);
    case 'prelu':
      return prelu(y, slopes);
  }
};

async function expectClose(found: Tensor[], wanted: Tensor[]): Promise<void> {
  for (const [n, tensor] of found.entries()) {
    const [a, b] = [await tensor.data(), await wanted[n]!.data()];
    expect(tensor.shape).toEqual(wanted[n]!.shape);
    const largest = Math.max(1, ...b.map(Math.abs));
    for (const [i, value] of b.entries()) expect(Math.abs(a[i]! - value)).toBeLessThan(1e-5 * largest);
  }
}

describe('gradients', () => {
  beforeAll(() => setBackend(registerReferenceBackend('reference')));

  const x = () => tensor4d(whole(2 * 5 * 4 * 4), [2, 5, 4, 4]);
  for (const activation of ['linear', 'relu', 'relu6', 'silu', 'leakyrelu', 'prelu'] as const) {
    it(`of dsconv2d with ${activation} are those of the float composite`, async () => {
      const weights = wave(3 * 3 * 4 * 3, 1.7).map((w) => w / 100);
      const filter = quantizeFilter(weights, [3, 3, 4, 3], { bits: 6 });
      const floatFilter = tensor4d(filter.dequantize(), [3, 3, 4, 3]);
      const slopes = tensor1d([0.25, -0.5, 2]);
      const inputs = [x(), tensor1d([0.5, -3, 2]), tensor4d(wave(2 * 3 * 2 * 3, 0.9), [2, 3, 2, 3])];
      if (activation === 'prelu') inputs.push(slopes);
      const dy = tensor4d(wave(2 * 3 * 2 * 3, 2.3), [2, 3, 2, 3]);
      const found = grads((input: Tensor, bias: Tensor, residual: Tensor, preluActivationWeights?: Tensor) =>
        dsconv2d(input as Tensor4D, filter, 2, 'same', {
          bias,
          residual,
          activation,
          leakyreluAlpha: 0.3,
          preluActivationWeights,
        }),
      )(inputs, dy);
      const wanted = grads((input: Tensor, bias: Tensor, residual: Tensor, alpha?: Tensor) =>
        floatActivation(
          add(add(conv2d(input as Tensor4D, floatFilter, 2, 'same'), bias), residual),
          activation,
          alpha ?? slopes,
        ),
      )(inputs, dy);
      await expectClose(found, wanted);
    });
  }

  it('of dsDepthwiseConv2d are those of the float composite', async () => {
    const filter = quantizeDepthwiseFilter(wave(3 * 3 * 4 * 2, 1.1), [3, 3, 4, 2], { bits: 8 });
    const floatFilter = tensor4d(filter.dequantize(), [3, 3, 4, 2]);
    const dy = tensor4d(wave(2 * 5 * 4 * 8, 2.3), [2, 5, 4, 8]);
    const found = grads((input: Tensor) =>
      dsDepthwiseConv2d(input as Tensor4D, filter, 1, 'same', { activation: 'relu' }),
    )([x()], dy);
    const wanted = grads((input: Tensor) => relu(depthwiseConv2d(input as Tensor4D, floatFilter, 1, 'same')))(
      [x()],
      dy,
    );
    await expectClose(found, wanted);
  });

  it('pass a result rounded to outputFormat straight through', async () => {
    const filter = quantizeFilter(wave(4 * 3, 1.7), [1, 1, 4, 3], { bits: 8 });
    const dy = tensor4d(wave(2 * 5 * 4 * 3, 2.3), [2, 5, 4, 3]);
    const outputFormat = { bits: 3, blockSize: 3 };
    const call = (options: object) =>
      grads((input: Tensor) =>
        dsconv2d(input as Tensor4D, filter, 1, 'valid', { activation: 'relu', ...options }),
      )([x()], dy);
    await expectClose(call({ outputFormat }), call({}));
  });

  it('leave nothing behind in tf.tidy', () => {
    const filter = quantizeFilter(wave(4 * 3, 1.7), [1, 1, 4, 3], { bits: 8 });
    const input = x();
    const before = memory().numTensors;
    tidy(() => {
      const differentiate = grads((t: Tensor) =>
        dsconv2d(t as Tensor4D, filter, 1, 'valid', { activation: 'silu' }),
      );
      differentiate([input]);
    });
    expect(memory().numTensors).toBe(before);
  });
});
