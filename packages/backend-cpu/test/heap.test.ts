/** Tensors that live in the WebAssembly heap must look like any other: no aliasing, no leak, clear errors. */

import { BACKEND_NAME, type DSConvCpuBackend, OutOfMemoryError } from '@dsconv/backend-cpu';
import { dsconv2d, getDSConvBackend, quantizeFilter, selectBackend } from '@dsconv/core';
import * as tf from '@tensorflow/tfjs-core';
import { beforeEach, describe, expect, test } from 'vitest';
import { WASM_BACKENDS } from './tiers.js';

describe.each(WASM_BACKENDS)('%s', (name) => {
  beforeEach(async () => {
    await selectBackend([name]);
  });
  const backend = () => tf.backend() as DSConvCpuBackend;
  const used = () => backend().engine!.memory().numBytesInHeap!;

  test('what was read does not change when the tensor is gone', () => {
    const x = tf.relu(tf.tensor1d([1, 2, 3, 4]));
    const read = x.dataSync();
    x.dispose();
    tf.relu(tf.tensor1d([9, 9, 9, 9]));
    expect([...read]).toEqual([1, 2, 3, 4]);
  });

  test('a slice outlives the tensor it was taken from', () => {
    const x = tf.relu(tf.tensor1d([1, 2, 3, 4]));
    const part = tf.slice(x, 1, 2);
    x.dispose();
    tf.relu(tf.tensor1d([9, 9, 9, 9]));
    expect([...part.dataSync()]).toEqual([2, 3]);
  });

  test('reshape shares its data until the last of both is disposed', () => {
    const x = tf.relu(tf.tensor1d([1, 2, 3, 4]));
    const y = tf.reshape(x, [2, 2]);
    x.dispose();
    tf.relu(tf.tensor1d([9, 9, 9, 9]));
    expect([...y.dataSync()]).toEqual([1, 2, 3, 4]);
  });

  test('tensors, filters and their packings leave nothing behind', () => {
    const weights = Float32Array.from({ length: 3 * 3 * 16 * 24 }, (_, n) => Math.sin(n));
    const round = () => {
      const filter = quantizeFilter(weights, [3, 3, 16, 24], { bits: 4 });
      tf.tidy(() => {
        const x = tf.ones([1, 9, 9, 16]) as tf.Tensor4D;
        const kernel = tf.tensor4d(weights, [3, 3, 16, 24]);
        tf.add(dsconv2d(x, filter, 1, 'same'), tf.conv2d(x, kernel, 1, 'same')).dataSync();
      });
      filter.dispose();
    };
    round();
    const before = { heap: used(), tensors: tf.memory().numTensors };
    for (let n = 0; n < 20; n++) round();
    expect({ heap: used(), tensors: tf.memory().numTensors }).toEqual(before);
  });

  test('a packed filter takes its bits and little more', () => {
    const weights = Float32Array.from({ length: 256 * 256 }, (_, n) => Math.sin(n));
    for (const bits of [2, 4, 8]) {
      const filter = quantizeFilter(weights, [1, 1, 256, 256], { bits, blockSize: 64, scales: 'float32' });
      const x = tf.ones([1, 1, 1, 256]) as tf.Tensor4D;
      tf.add(x, 1).dispose();
      const before = used();
      const y = dsconv2d(x, filter, 1, 'valid');
      y.dispose();
      expect(used() - before).toBeLessThan(1.1 * filter.byteLength + 1024);
      filter.dispose();
      x.dispose();
    }
  });

  test('memory that cannot grow is a typed error, and the backend goes on working', () => {
    expect(() => backend().output([2 ** 31])).toThrow(OutOfMemoryError);
    expect([...tf.relu(tf.tensor1d([-1, 1])).dataSync()]).toEqual([0, 1]);
  });

  test('data of another backend moves here and back', async () => {
    await tf.setBackend('cpu');
    const x = tf.tensor1d([-1, 2]);
    await selectBackend([name]);
    const y = tf.relu(x);
    await tf.setBackend('cpu');
    expect([...tf.add(y, 1).dataSync()]).toEqual([1, 3]);
  });
});

describe('choosing a tier', () => {
  test('DSCONV_CPU_TIER forces one', async () => {
    process.env.DSCONV_CPU_TIER = 'wasm-simd';
    try {
      expect(await selectBackend([BACKEND_NAME])).toMatchObject({ name: BACKEND_NAME, tier: 'wasm-simd' });
    } finally {
      delete process.env.DSCONV_CPU_TIER;
    }
  });

  test('an unknown tier is refused by name', () => {
    expect(() => getDSConvBackend(BACKEND_NAME)!.pinTier!('fpga')).toThrow(
      "tier is 'fpga'; expected one of native, wasm-relaxed-simd, wasm-simd, js",
    );
  });
});
