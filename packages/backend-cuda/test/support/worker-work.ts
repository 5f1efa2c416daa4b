/** A little of everything, for a thread of its own: eager kernels, reads, plans. */
import { compile, dsconv2d, quantizeFilter, selectBackend } from '@dsconv/core';
import * as tf from '@tensorflow/tfjs-core';
import { BACKEND_NAME, type CudaBackend } from '../../src/index.js';

export async function work(seed: number): Promise<{ sums: number[]; leftBytes: number }> {
  await selectBackend([BACKEND_NAME]);
  const { memory } = (tf.backend() as CudaBackend).device;
  const before = memory.inUse;
  const values = (length: number) => Float32Array.from({ length }, (_, n) => Math.sin(n * 1.3 + seed));
  const filter = quantizeFilter(values(9 * 32 * 16), [3, 3, 32, 16], { bits: 4, blockSize: 32 });
  const x = tf.tensor4d(values(6 * 5 * 32), [1, 6, 5, 32]);
  const body = (input: tf.Tensor) =>
    tf.sum(dsconv2d(input as tf.Tensor4D, filter, 1, 'same', { activation: 'relu' }), [1, 2]);
  const plan = await compile(body, x);
  const sums: number[] = [];
  for (let turn = 0; turn < 5; turn++) {
    const [eager, planned] = [tf.tidy(() => body(x)), (await plan.run(x)) as tf.Tensor];
    sums.push(...(await eager.data()), ...(await planned.data()));
    tf.dispose([eager, planned]);
  }
  plan.dispose();
  filter.dispose();
  x.dispose();
  return { sums, leftBytes: memory.inUse - before };
}
