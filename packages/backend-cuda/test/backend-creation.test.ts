/** How the backend is found, made, pinned, and refused. */
import { readdirSync, readFileSync } from 'node:fs';
import { BackendUnavailableError, getDSConvBackend, InvalidArgumentError, selectBackend } from '@dsconv/core';
import * as tf from '@tensorflow/tfjs-core';
import { afterEach, expect, test } from 'vitest';
import { BACKEND_NAME, TIERS, useCuda } from '../src/index.js';
import { kernelsReached, testShared, tryTier } from '../src/self-test.js';
import { cuda, onCuda } from './support/cuda.js';

onCuda();

const contract = () => getDSConvBackend(BACKEND_NAME)!;

afterEach(() => {
  delete process.env.DSCONV_CUDA_DEVICE;
});

test('the best tier passes its known answers here', async () => {
  expect(contract().activeTier()).toBe('mma');
  expect(await contract().tiers()).toEqual(
    TIERS.map((tier) => ({ tier, available: true, reason: undefined })),
  );
  expect(cuda().disabled.size).toBe(0);
});

test('known answers reach every kernel of DSConv in the tiers together', () => {
  const folder = new URL('../kernels/', import.meta.url);
  const declared = readdirSync(folder)
    .filter((name) => /^ds.*\.cu$/.test(name))
    .flatMap((name) => [...readFileSync(new URL(name, folder), 'utf8').matchAll(/KERNEL\((ds\w+)/g)])
    .map(([, name]) => name!);
  expect(declared.length).toBeGreaterThan(8);
  const reached = new Set<string>();
  for (const tier of TIERS) {
    cuda().tier = tier;
    for (const name of kernelsReached(cuda())) reached.add(name);
  }
  cuda().tier = 'mma';
  expect(declared.filter((name) => !reached.has(name))).toEqual([]);
});

test('a kernel that computes something else is named, and its tier or operator not used', async () => {
  const backend = cuda();
  const { launch, make } = backend;
  /** The kernel does nothing, where results are NaN before. */
  const stop = (kernel: string) => {
    backend.launch = (call) => {
      if (call.kernel !== kernel) launch.call(backend, call);
    };
    backend.make = (shape, dtype, launches) =>
      make.call(backend, shape, dtype, (y) => {
        backend.fill32(y.address, 0x7fc00000, y.size);
        launches(y);
      });
  };
  try {
    stop('dsconv2d_64x32');
    expect(await tryTier(backend, 'mma')).toMatch(
      /^kernel 'dsconv2d_64x32' computes \S+ for output 0 of its known case; expected -?[\d.]+$/,
    );
    expect(await tryTier(backend, 'naive')).toBeNull();
    stop('dsconv2d_float');
    await testShared(backend);
    expect([...backend.disabled.keys()].sort()).toEqual(['DSConv2D', 'DSDepthwiseConv2D']);
  } finally {
    backend.disabled.clear();
    Object.assign(backend, { launch, make });
    expect(await tryTier(backend, 'mma')).toBeNull();
  }
});

test('selectBackend makes it current, and pinned ones beside it', async () => {
  expect(await selectBackend([BACKEND_NAME])).toMatchObject({ name: BACKEND_NAME, tier: 'mma' });
  const name = contract().pinTier!('naive');
  expect(await selectBackend([name])).toMatchObject({ name: 'dsconv-cuda/naive', tier: 'naive' });
  expect(() => contract().pinTier!('fast')).toThrow("tier is 'fast'; expected one of mma, naive");
  await selectBackend([BACKEND_NAME]);
  expect(cuda().tier).toBe('mma');
});

test('a device that is not there is a reason, and another one works afterwards', async () => {
  await expect(useCuda({ device: 7 })).rejects.toThrow(BackendUnavailableError);
  await expect(useCuda({ device: 7 })).rejects.toThrow('there is no GPU 7; the driver has one, number 0');
  await expect(useCuda({ device: -1 })).rejects.toThrow(InvalidArgumentError);
  await expect(useCuda({ memoryLimit: 0 })).rejects.toThrow('memoryLimit is 0; expected bytes above 0');
  process.env.DSCONV_CUDA_DEVICE = 'first';
  await expect(useCuda()).rejects.toThrow(
    "DSCONV_CUDA_DEVICE is 'first'; expected the number of a device, from 0",
  );
  process.env.DSCONV_CUDA_DEVICE = '3';
  expect(await contract().probe()).toEqual({ reason: 'there is no GPU 3; the driver has one, number 0' });
  expect(await contract().tiers()).toEqual(
    TIERS.map((tier) => ({
      tier,
      available: false,
      reason: 'there is no GPU 3; the driver has one, number 0',
    })),
  );
  delete process.env.DSCONV_CUDA_DEVICE;
  expect(await useCuda()).toBe('mma');
  expect([...tf.add([1, 2], 1).dataSync()]).toEqual([2, 3]);
});
