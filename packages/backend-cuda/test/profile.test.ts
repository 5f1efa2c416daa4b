/** Profiles of plans, what is told of the device, and its peaks. */
import { captureAsync, DisposedError, dsconv2d } from '@dsconv/core';
import * as tf from '@tensorflow/tfjs-core';
import { expect, test } from 'vitest';
import { constant, filter } from '../../conformance/test/support/plans.js';
import { describeDevice, profilePlan } from '../src/index.js';
import { cuda, onCuda } from './support/cuda.js';

onCuda();

test('a profile tells of every step, in order, and gives its memory back', async () => {
  const [first, second] = [filter([3, 3, 32, 32], 1), filter([1, 1, 32, 48], 2)];
  const body = (t: tf.Tensor) => {
    const y = dsconv2d(t as tf.Tensor4D, first, 1, 'same', { activation: 'relu' });
    return tf.mean(dsconv2d(y, second, 1, 'same'), [1, 2]);
  };
  const x = constant([2, 4, 5, 32], 1);
  // Filters stay on the device when they were used once.
  tf.tidy(() => body(x).dataSync());
  const before = cuda().device.memory.inUse;
  const profile = profilePlan(await captureAsync(body, x));
  for (const inputs of [undefined, [x.dataSync() as Float32Array]]) {
    const steps = await profile.run(inputs);
    expect(steps.map(({ op }) => op)).toEqual(['quantize', 'convolution', 'convolution', 'mean']);
    const pixels = 2 * 4 * 5;
    expect(steps.map(({ macs }) => macs)).toEqual([0, pixels * 9 * 32 * 32, pixels * 32 * 48, 0]);
    for (const { microseconds } of steps) expect(microseconds).toBeGreaterThanOrEqual(0);
    expect(steps[2]!.geometry).toMatchObject({ kernelHeight: 1, outChannels: 48 });
  }
  profile.dispose();
  profile.dispose();
  await expect(profile.run()).rejects.toThrow(DisposedError);
  expect(cuda().device.memory.inUse).toBe(before);
});

test('the device says that it is the emulation', async () => {
  const { emulated, computeCapability, driverVersion } = await describeDevice();
  expect({ emulated, computeCapability }).toEqual({ emulated: true, computeCapability: [8, 0] });
  expect(driverVersion).toBeGreaterThanOrEqual(13000);
});
