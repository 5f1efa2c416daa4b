/** Devices that are lost, handed over, or compute something wrong. */
import { DeviceLostError, useWebGPU as takeDevice } from '@dsconv/backend-webgpu';
import { compile, dsconv2d, getDSConvBackend, quantizeFilter, selectBackend } from '@dsconv/core';
import type { WebGPUBackend } from '@tensorflow/tfjs-backend-webgpu';
import * as tf from '@tensorflow/tfjs-core';
import { expect, test } from 'vitest';
import { useWebGPU } from './support/webgpu.js';

useWebGPU();

const filter = quantizeFilter(
  Float32Array.from({ length: 9 * 32 * 8 }, (_, n) => Math.sin(n)),
  [3, 3, 32, 8],
  { bits: 4, blockSize: 32 },
);
const picture = () =>
  tf.tensor4d(
    Float32Array.from({ length: 5 * 5 * 32 }, (_, n) => Math.cos(n)),
    [1, 5, 5, 32],
  );
const run = (x: tf.Tensor) => dsconv2d(x as tf.Tensor4D, filter, 1, 'same');
const device = () => (tf.backend() as WebGPUBackend).device;
const contract = getDSConvBackend('webgpu')!;

/** Loses the current device and waits until the program could know. */
async function lose(): Promise<void> {
  const { lost } = device();
  device().destroy();
  await lost;
}

test('a lost device is a typed error everywhere, and a new one works', { timeout: 240_000 }, async () => {
  const x = picture();
  const wanted = [...(await run(x).data())];
  const plan = await compile(run, x);
  expect(plan.reason).toBeNull();
  const made = run(x);
  await lose();
  expect(() => run(x)).toThrow(DeviceLostError);
  await expect(made.data()).rejects.toThrow(DeviceLostError);
  await expect(plan.run(x)).rejects.toThrow(DeviceLostError);
  const output = new Float32Array(wanted.length);
  await expect(plan.compiled!.run([new Float32Array(x.size)], [output])).rejects.toThrow(DeviceLostError);
  plan.dispose();
  // The filter is uploaded again by itself.
  await selectBackend(['webgpu']);
  expect([...(await run(picture()).data())]).toEqual(wanted);
});

test('a device of the caller, whose dot products of bytes are wrong, serves without them', {
  timeout: 240_000,
}, async () => {
  const wanted = [...(await run(picture()).data())];
  const adapter = await navigator.gpu.requestAdapter();
  const own = await adapter!.requestDevice();
  const create = own.createShaderModule.bind(own);
  own.createShaderModule = (descriptor) =>
    create({
      ...descriptor,
      code: descriptor.code.replace('return dot4I8Packed(a, b)', 'return dot4I8Packed(a, b) + 1'),
    });
  // A software adapter would try other tiers first.
  Object.defineProperty(own, 'adapterInfo', { value: { architecture: 'a GPU' } });
  const tier = await takeDevice(own);
  expect(device()).toBe(own);
  expect(tier).toBe('tile');
  const broken = (await contract.tiers()).find((status) => status.tier === 'tile-dot')!;
  expect(broken.available).toBe(false);
  expect(broken.reason).toMatch(/^shader '.*-dot' computes .* for output 0 of its known case; expected /);
  expect([...(await run(picture()).data())]).toEqual(wanted);
});

test('a device on which no shader works declines with the reasons', { timeout: 240_000 }, async () => {
  const adapter = await navigator.gpu.requestAdapter();
  const own = await adapter!.requestDevice();
  const create = own.createShaderModule.bind(own);
  own.createShaderModule = (descriptor) =>
    create(
      descriptor.label?.startsWith('dsconv')
        ? { ...descriptor, code: descriptor.code.replaceAll('fn main(', 'fn other(') }
        : descriptor,
    );
  await expect(takeDevice(own)).rejects.toThrow(
    /no shader of backend 'webgpu' works on this adapter: .*wide: shader/,
  );
  expect(() => run(picture())).toThrow(/backend 'webgpu' declines/);
  expect(contract.activeTier()).toBeNull();
  // Everything else of TensorFlow.js still works.
  expect([...(await tf.add(tf.tensor1d([1, 2]), 1).data())]).toEqual([2, 3]);
});
