import { getDSConvBackend, quantizeFilter, dsconv2d, referenceDSConv2d, resolveGeometry, selectBackend } from '@dsconv/core';
import '@dsconv/backend-cpu';
import * as tf from '@tensorflow/tfjs-core';
import { expect, test } from 'vitest';

test('js tier', async () => {
  const name = getDSConvBackend('dsconv-cpu')!.pinTier!('js');
  const sel = await selectBackend([name]);
  expect(sel.name).toBe(name);
  const w = Float32Array.from({ length: 3 * 3 * 20 * 8 }, () => Math.random() - 0.5);
  const f = quantizeFilter(w, [3, 3, 20, 8], { bits: 4, blockSize: 16, kdsBias: true, cds: true });
  const xv = Float32Array.from({ length: 7 * 7 * 20 }, () => Math.random() - 0.3);
  const x = tf.tensor4d(xv, [1, 7, 7, 20]);
  const y = dsconv2d(x, f, 1, 'same', { activation: 'relu' });
  const g = resolveGeometry({ inputShape: [1, 7, 7, 20], kernelSize: [3, 3], outChannels: 8, strides: 1, pad: 'same' });
  const ref = referenceDSConv2d({ x: xv }, f, { geometry: g, activationBits: 8, activation: 'relu' });
  const v = await y.data();
  for (let i = 0; i < v.length; i++) expect(Math.abs(v[i]! - ref.output[i]!)).toBeLessThan(1e-5);
  const grad = tf.grad((t: tf.Tensor4D) => dsconv2d(t, f, 1, 'same', { activation: 'silu' }))(x);
  expect(grad.shape).toEqual(x.shape);
});
