/** Memory of the device over time: flat where the same is done again and again, enough again after there was too little, all back in the end. */
import { compile, dsconv2d } from '@dsconv/core';
import * as tf from '@tensorflow/tfjs-core';
import { afterAll, describe, expect, test } from 'vitest';
import { constant, filter } from '../../conformance/test/support/plans.js';
import { BACKEND_NAME, OutOfMemoryError, useCuda } from '../src/index.js';
import { cuda, onCuda } from './support/cuda.js';

onCuda();

const MIB = 2 ** 20;
const allocated = () => {
  const { inUse, cached, blocks } = cuda().device.memory;
  return { inUse, total: inUse + cached, blocks, ids: cuda().numDataIds(), tensors: tf.memory().numTensors };
};

test('memory is flat over repeated work of every kind', async () => {
  const f = filter([3, 3, 32, 32], 1);
  const x = tf.keep(constant([1, 6, 6, 32], 2));
  const work = async () => {
    const y = tf.tidy(() =>
      tf.softmax(tf.mean(dsconv2d(x as tf.Tensor4D, f, 1, 'same', { activation: 'relu' }), [1, 2])),
    );
    await y.data();
    const gradient = tf.tidy(() => tf.grad((t: tf.Tensor) => tf.sum(tf.square(t)))(x));
    gradient.dataSync();
    const plan = await compile((t) => dsconv2d(t as tf.Tensor4D, f, 1, 'same'), x);
    const z = (await plan.run(x)) as tf.Tensor;
    await plan.compiled!.run([x.dataSync() as Float32Array], [new Float32Array(z.size)]);
    plan.dispose();
    tf.dispose([y, gradient, z]);
  };
  await work();
  const first = allocated();
  for (let n = 0; n < 5; n++) await work();
  expect(allocated()).toEqual(first);
  f.dispose();
  x.dispose();
});

describe('with little memory', () => {
  const LIMIT = 64 * MIB;
  afterAll(async () => {
    await useCuda();
  });

  test('the limit is kept, running out is a typed error with the sizes, and work goes on', async () => {
    await useCuda({ memoryLimit: LIMIT });
    const { memory } = cuda().device;
    expect(memory.limit).toBe(LIMIT);
    const before = memory.inUse;
    const big = () => tf.fill([8 * MIB], 1);
    const held: tf.Tensor[] = [big()];
    let error: unknown;
    try {
      for (;;) held.push(big());
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toBeInstanceOf(OutOfMemoryError);
    const { sizes, code, message } = error as OutOfMemoryError;
    expect(code).toBe('OUT_OF_MEMORY');
    expect(sizes).toMatchObject({ requested: 32 * MIB, limit: LIMIT, inUse: memory.inUse });
    for (const figure of Object.values(sizes)) expect(message).toContain(String(figure));
    tf.dispose(held);
    expect(memory.inUse).toBe(before);
    const y = tf.add(tf.fill([4 * MIB], 2), 1);
    expect((await y.data())[4 * MIB - 1]).toBe(3);
    y.dispose();
  });

  test('a network goes on after a tensor that did not fit', async () => {
    await useCuda({ memoryLimit: LIMIT });
    const f = filter([1, 1, 32, 32], 1);
    const x = constant([1, 8, 8, 32], 2);
    const body = () => dsconv2d(x as tf.Tensor4D, f, 1, 'same');
    const wanted = [...(await body().data())];
    expect(() => tf.fill([32 * MIB], 1)).toThrow(OutOfMemoryError);
    expect([...(await body().data())]).toEqual(wanted);
  });
});

test('dispose of the backend gives the device all of its memory back', async () => {
  await useCuda();
  const { native } = cuda().device;
  const x = tf.keep(constant([1, 64, 64, 32], 1));
  tf.keep(dsconv2d(x as tf.Tensor4D, filter([1, 1, 32, 32], 1), 1, 'same'));
  expect(cuda().device.memory.blocks).toBeGreaterThan(0);
  tf.removeBackend(BACKEND_NAME);
  expect(native.closed).toBe(true);
  await useCuda();
  const { free, total } = cuda().device.native.memoryInfo();
  const { inUse, cached } = cuda().device.memory;
  expect(total - free).toBeLessThanOrEqual(inUse + cached + MIB);
});
