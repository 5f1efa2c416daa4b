/** The TensorFlow.js kernels of DSConv and of its rounding, by way of core's operators. */
import '../src/index.js';
import {
  bfpGradient,
  bfpRound,
  DSConvFilter,
  dsconv2d,
  quantizeDepthwiseFilter,
  quantizeFilter,
  roundToBfp,
  UnsupportedError,
} from '@dsconv/core';
import * as tf from '@tensorflow/tfjs-core';
import { describe, expect, it } from 'vitest';
import { deviceFilter } from '../src/dsconv/filters.js';
import { cuda, onCuda } from './support/cuda.js';

onCuda();

const numbers = (length: number, seed = 1): Float32Array =>
  Float32Array.from({ length }, (_, n) => Math.sin((n + 1) * seed) * 2 ** ((n * seed) % 5));

describe('BFPRound', () => {
  it.each([
    [[2, 3, 40], { bits: 8, blockSize: 32 }],
    [[5, 37], { bits: 3, blockSize: 10 }],
    [[4, 4, 24], { bits: 5, blockSize: 64, groups: 3 }],
  ] as const)('rounds %o to %o, and lets gradients through below the clamp', (shape, format) => {
    const channels = shape.at(-1)!;
    const values = numbers(tf.util.sizeFromShape([...shape]));
    const dy = numbers(values.length, 3);
    const x = tf.tensor(values, [...shape]);
    const { value, grad } = tf.valueAndGrad((t: tf.Tensor) => bfpRound(t, format))(
      x,
      tf.tensor(dy, [...shape]),
    );
    expect(value.dataSync()).toEqual(roundToBfp(values, channels, format));
    expect(grad.dataSync()).toEqual(bfpGradient(values, dy, channels, format));
    tf.dispose([x, value, grad]);
  });
});

describe('DSConv2D', () => {
  const filter = () => quantizeFilter(numbers(9 * 32 * 24), [3, 3, 32, 24], { bits: 4, blockSize: 32 });
  const x = () => tf.tensor4d(numbers(2 * 5 * 5 * 32, 2), [2, 5, 5, 32]);

  it('packs a filter once for each number of groups and frees it with the filter', () => {
    const backend = cuda();
    const first = filter();
    const bytes = () => backend.device.memory.inUse;
    const before = bytes();
    const packed = deviceFilter(backend, first, 1, 8);
    expect(deviceFilter(backend, first, 1, 8)).toBe(packed);
    const once = bytes() - before;
    expect(once).toBeGreaterThan(9 * 32 * 24 * 0.5);
    // Float activations need the weights that the integers stand for, beside them.
    deviceFilter(backend, first, 1, null);
    expect(bytes() - before).toBeGreaterThanOrEqual(once + 4 * 9 * 32 * 24);
    first.dispose();
    expect(bytes()).toBe(before);
  });

  it('keeps inputs and says why it is switched off', () => {
    const [input, weights] = [x(), filter()];
    const values = input.dataSync().slice();
    const y = tf.tidy(() => dsconv2d(input, weights, 1, 'same'));
    expect(y.shape).toEqual([2, 5, 5, 24]);
    expect(input.dataSync()).toEqual(values);
    cuda().disabled.set('DSConv2D', 'the known case is wrong');
    expect(() => dsconv2d(input, weights, 1, 'same')).toThrow(UnsupportedError);
    cuda().disabled.delete('DSConv2D');
    weights.dispose();
    tf.dispose([input, y]);
  });

  it('returns empty tensors for empty batches', () => {
    const weights = filter();
    const y = dsconv2d(tf.zeros<tf.Rank.R4>([0, 5, 5, 32]), weights, 1, 'same');
    expect(y.shape).toEqual([0, 5, 5, 24]);
    expect(y.dataSync()).toHaveLength(0);
    weights.dispose();
  });

  it('computes with scales too large for tensor cores', () => {
    const kds = { format: 'float32' as const, data: new Float32Array(16).fill(2 ** 100) };
    const q = new Int8Array(16 * 16).fill(3);
    const weights = DSConvFilter.fromIntegers(
      { kind: 'conv2d', shape: [1, 1, 16, 16], bits: 4, blockSize: 16, kds },
      q,
    );
    const y = dsconv2d(tf.fill<tf.Rank.R4>([1, 2, 2, 16], 2 ** -60), weights, 1, 'valid');
    expect(y.dataSync()).toEqual(new Float32Array(64).fill(48 * 2 ** 40));
    weights.dispose();
  });

  it('packs depthwise filters in rows', () => {
    const weights = quantizeDepthwiseFilter(numbers(9 * 20), [3, 3, 20, 1], { bits: 8 });
    expect(deviceFilter(cuda(), weights, 1, 8).form).toBe('rows');
    weights.dispose();
  });
});
