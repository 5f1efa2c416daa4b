/** Reads that wait for a busy device leave the event loop free. The stand-in for the driver works only when somebody waits, as slow devices seem to. */
import * as tf from '@tensorflow/tfjs-core';
import { expect, test } from 'vitest';
import { cuda, onCuda } from './support/cuda.js';

// Read when the driver is initialized.
process.env.DSCONV_EMULATED_LAZY = '1';
onCuda();

/** Launches work of some hundred milliseconds. */
function work(): tf.Tensor {
  return tf.tidy(() => {
    let x: tf.Tensor = tf.fill([64, 64], 0.01);
    for (let n = 0; n < 60; n++) x = tf.matMul(x, x);
    return x;
  });
}

test('timers go on while data() waits, and not while dataSync() does', { timeout: 120_000 }, async () => {
  let turns = 0;
  const timer = setInterval(() => turns++, 1);
  const x = work();
  turns = 0;
  const start = performance.now();
  x.dataSync();
  const blocked = performance.now() - start;
  expect(turns).toBe(0);
  const y = work();
  turns = 0;
  const values = await y.data();
  expect(turns).toBeGreaterThan(3);
  expect(values).toHaveLength(64 * 64);
  // Not for lack of work.
  expect(blocked).toBeGreaterThan(20);
  clearInterval(timer);
  tf.dispose([x, y]);
});

test('results are those of the order of the calls', async () => {
  const x = tf.fill([1000], 1);
  const reads: Promise<Float32Array | Int32Array | Uint8Array>[] = [];
  let y: tf.Tensor = tf.clone(x);
  for (let n = 0; n < 5; n++) {
    const next = tf.add(y, 1);
    y.dispose();
    y = next;
    reads.push(y.data());
  }
  const found = await Promise.all(reads);
  expect(found.map((values) => [values[0], values[999]])).toEqual([2, 3, 4, 5, 6].map((v) => [v, v]));
  tf.dispose([x, y]);
  expect(cuda().device.lost).toBeNull();
});
