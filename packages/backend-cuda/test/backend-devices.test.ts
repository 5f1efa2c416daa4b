/** Several devices: the backend is made on the one that is asked for. */
import { dsconv2d, getDSConvBackend } from '@dsconv/core';
import type * as tf from '@tensorflow/tfjs-core';
import { expect, test } from 'vitest';
import { constant, filter } from '../../conformance/test/support/plans.js';
import { BACKEND_NAME, useCuda } from '../src/index.js';
import { cuda, onCuda } from './support/cuda.js';

// Read when the driver is initialized.
process.env.DSCONV_EMULATED_DEVICES = '2';
onCuda();

test('useCuda and the environment choose; filters are uploaded again', async () => {
  const f = filter([1, 1, 32, 16], 1);
  const run = async () => {
    const x = constant([1, 3, 3, 32], 2);
    return [...(await dsconv2d(x as tf.Tensor4D, f, 1, 'same').data())];
  };
  expect(cuda().device.index).toBe(0);
  const wanted = await run();
  const first = cuda();
  expect(await useCuda({ device: 1 })).toBe('mma');
  expect(cuda().device.index).toBe(1);
  expect(cuda().device.info.index).toBe(1);
  expect(first.usable).toBe(false);
  expect(await run()).toEqual(wanted);
  process.env.DSCONV_CUDA_DEVICE = '0';
  await useCuda();
  expect(cuda().device.index).toBe(0);
  process.env.DSCONV_CUDA_DEVICE = '1';
  await useCuda();
  expect(cuda().device.index).toBe(1);
  expect(await run()).toEqual(wanted);
  delete process.env.DSCONV_CUDA_DEVICE;
  expect(getDSConvBackend(BACKEND_NAME)!.activeTier()).toBe('mma');
});
