/** A device that is lost in the middle of work: typed errors from then on, and a new backend. */
import { compile, getDSConvBackend } from '@dsconv/core';
import * as tf from '@tensorflow/tfjs-core';
import { expect, test } from 'vitest';
import { BACKEND_NAME, DeviceLostError, useCuda } from '../src/index.js';
import { launchUnary } from '../src/kernels/unary.js';
import { probe } from '../src/native/probe.js';
import { cuda, onCuda } from './support/cuda.js';

// The stand-in for the driver works only when somebody waits, as slow devices seem to.
process.env.DSCONV_EMULATED_LAZY = '1';
onCuda();

/** A kernel reads where nothing is, which no context of a driver survives. */
function loseDevice(): void {
  launchUnary(cuda(), { operation: 'relu', x: 2 ** 16, y: 2 ** 17, count: 10 });
  cuda().device.call(() => cuda().device.native.synchronizeSync(cuda().device.stream));
}

test('kernels, reads and plans fail with a typed error, and a new backend works', async (context) => {
  // NVIDIA's driver gives a process that did this no new context.
  if (!(await probe()).emulated) context.skip('the GPU would stay lost for this process');
  const x = tf.tensor1d([1, -2, 3]);
  const plan = await compile((t) => tf.relu(t), x);
  const values = x.dataSync() as Float32Array;
  const wide = tf.fill([1000], 1);
  expect(loseDevice).toThrow(DeviceLostError);
  const lost = cuda();
  expect(lost.device.lost).toMatch(/CUDA_ERROR_ILLEGAL_ADDRESS/);
  expect(lost.usable).toBe(false);
  expect(() => tf.add(x, 1)).toThrow(/is lost \(.*\); expected a new backend, by await useCuda\(\)/);
  expect(() => wide.dataSync()).toThrow(DeviceLostError);
  await expect(wide.data()).rejects.toThrow(DeviceLostError);
  await expect(plan.run(x)).rejects.toThrow(DeviceLostError);
  await expect(plan.compiled!.run([values], [new Float32Array(3)])).rejects.toThrow(DeviceLostError);
  await expect(compile((t) => tf.relu(t), x)).rejects.toThrow(DeviceLostError);
  expect(getDSConvBackend(BACKEND_NAME)!.activeTier()).toBeNull();
  // Freeing is no error.
  wide.dispose();
  plan.dispose();
  await useCuda();
  expect(cuda()).not.toBe(lost);
  expect(getDSConvBackend(BACKEND_NAME)!.activeTier()).toBe('mma');
  expect([...(await tf.add(tf.tensor1d([1, 2]), 1).data())]).toEqual([2, 3]);
});

test('a read that is under way when the device is lost is rejected', async (context) => {
  if (!(await probe()).emulated) context.skip('the GPU would stay lost for this process');
  const wide = tf.fill([1000], 1);
  launchUnary(cuda(), { operation: 'relu', x: 2 ** 16, y: 2 ** 17, count: 10 });
  await expect(wide.data()).rejects.toThrow(DeviceLostError);
  expect(cuda().usable).toBe(false);
  await useCuda();
  expect((await tf.fill([1000], 2).data())[999]).toBe(2);
});
