/** Convolutions beyond what a device binds at once: computed in parts of the batch, or declined with a sentence. */
import '@dsconv/backend-webgpu';
import {
  compile,
  type DSConvFilter,
  dsconv2d,
  dsDepthwiseConv2d,
  quantizeDepthwiseFilter,
  UnsupportedError,
} from '@dsconv/core';
import type { WebGPUBackend } from '@tensorflow/tfjs-backend-webgpu';
import * as tf from '@tensorflow/tfjs-core';
import { afterEach, expect, test } from 'vitest';
import { constant, filter } from '../../conformance/test/support/plans.js';
import { picturesAtOnce } from '../src/gpu/limits.js';
import { useWebGPU } from './support/webgpu.js';

useWebGPU();

const device = () => (tf.backend() as WebGPUBackend).device;

let restore = () => {};

/** Lowers limits of the current device, as this package reads them; the real ones stay. */
function lower(limits: Partial<Record<keyof GPUSupportedLimits, number>>): void {
  restore();
  const current = device();
  const real = current.limits;
  const own = Object.getOwnPropertyDescriptor(current, 'limits');
  const lowered = new Proxy(real, {
    get: (target, name) => limits[name as keyof GPUSupportedLimits] ?? Reflect.get(target, name, target),
  });
  Object.defineProperty(current, 'limits', { value: lowered, configurable: true });
  restore = () => {
    if (own) Object.defineProperty(current, 'limits', own);
    else Reflect.deleteProperty(current, 'limits');
    restore = () => {};
  };
}

afterEach(() => restore());

const batch = 7;
const grid = { bits: 8, blockSize: 16, groups: 1 };

/** Numbers of an eager run, and how many bind groups had a part of a buffer. */
async function run(body: (x: tf.Tensor4D, residual: tf.Tensor4D) => tf.Tensor, x: tf.Tensor, r: tf.Tensor) {
  const current = device();
  const create = current.createBindGroup.bind(current);
  const offsets = new Set<number>();
  current.createBindGroup = (descriptor) => {
    for (const { resource } of descriptor.entries) offsets.add((resource as GPUBufferBinding).offset ?? 0);
    return create(descriptor);
  };
  try {
    const y = body(x as tf.Tensor4D, r as tf.Tensor4D);
    const values = [...(await y.data())];
    y.dispose();
    return { values, parts: offsets.size };
  } finally {
    current.createBindGroup = create;
  }
}

const f: DSConvFilter = filter([3, 3, 32, 16], 4);
const depthwise = quantizeDepthwiseFilter(
  Float32Array.from({ length: 9 * 32 }, (_, n) => Math.sin(n)),
  [3, 3, 32, 1],
  { bits: 8, blockSize: 16 },
);

test.each([
  ['integers', { activationBits: 8 as const }],
  ['integers, rounded outputs', { activationBits: 8 as const, outputFormat: grid }],
  [
    'integers, outputs rounded afterwards',
    { activationBits: 8 as const, outputFormat: { ...grid, blockSize: 5 } },
  ],
  ['float activations', { activationBits: null }],
])('a batch is computed in parts where the buffers cannot be bound as a whole: %s', async (_, options) => {
  const x = constant([batch, 6, 5, 32], 1);
  const residual = constant([batch, 6, 5, 16], 2);
  const bias = constant([16], 3);
  const body = (input: tf.Tensor4D, r: tf.Tensor4D) =>
    dsconv2d(input, f, 1, 'same', { ...options, bias: bias as tf.Tensor1D, residual: r });
  const whole = await run(body, x, residual);
  // 3840 and 1920 bytes of a picture begin at a multiple of 256 two by two; three fit.
  lower({ maxStorageBufferBindingSize: 3 * 3840 });
  const parts = await run(body, x, residual);
  expect(parts.values).toEqual(whole.values);
  expect(whole.parts).toBe(1);
  // The input at 0, 2, 4 and 6 pictures, output and residual likewise, at half of that: two of these are the same.
  expect(parts.parts).toBe(6);
});

test('depthwise, whose input is the larger one', async () => {
  const x = constant([batch, 8, 8, 32], 5);
  const body = (input: tf.Tensor4D) => dsDepthwiseConv2d(input, depthwise, 2, 'same', { activation: 'relu' });
  const whole = await run(body, x, x);
  lower({ maxStorageBufferBindingSize: 8192 });
  const parts = await run(body, x, x);
  expect(parts.values).toEqual(whole.values);
  expect(parts.parts).toBeGreaterThan(batch);
});

test('a plan of such a batch is eager and says why', async () => {
  const x = constant([batch, 6, 5, 32], 1);
  const body = (input: tf.Tensor) => dsconv2d(input as tf.Tensor4D, f, 1, 'same');
  const wanted = [...(await body(x).data())];
  lower({ maxStorageBufferBindingSize: 3 * 3840 });
  const plan = await compile(body, x);
  expect(plan.mode).toBe('eager');
  expect(plan.reason).toBe('a value of the plan takes 26880 bytes; expected at most 11520 on this device');
  expect([...(await ((await plan.run(x)) as tf.Tensor).data())]).toEqual(wanted);
  plan.dispose();
});

test('what does not fit picture by picture is declined, with the buffer and both sizes', () => {
  const x = constant([batch, 6, 5, 32], 1) as tf.Tensor4D;
  lower({ maxStorageBufferBindingSize: 3839 });
  expect(() => dsconv2d(x, f, 1, 'same')).toThrow(UnsupportedError);
  // Two by two, because of the alignment.
  expect(() => dsconv2d(x, f, 1, 'same')).toThrow(
    'its input takes 7680 bytes at a time; this device binds at most 3839',
  );
  lower({ maxStorageBufferBindingSize: 2000 });
  expect(() => dsconv2d(x, f, 1, 'same')).toThrow(
    'its filter takes 2304 bytes at a time; this device binds at most 2000',
  );
  lower({ maxBufferSize: 20_000 });
  expect(() => dsconv2d(x, f, 1, 'same')).toThrow(
    'its input takes 26880 bytes; this device has buffers of at most 20000',
  );
});

test('parts are as large as they may be, and begin where the device allows it', () => {
  const geometry = {
    ...{ batch: 100, inHeight: 3, inWidth: 3, inChannels: 3, outHeight: 3, outWidth: 3, outChannels: 8 },
    ...{
      kernelHeight: 1,
      kernelWidth: 1,
      strideHeight: 1,
      strideWidth: 1,
      dilationHeight: 1,
      dilationWidth: 1,
    },
    ...{ padTop: 0, padBottom: 0, padLeft: 0, padRight: 0, groups: 1 },
  };
  const c = { geometry, bits: 4, blockSize: 64, depthwise: false, activationBits: 8 };
  const limits = {
    maxBufferSize: 1e6,
    maxStorageBufferBindingSize: 288 * 99,
    minStorageBufferOffsetAlignment: 256,
  };
  // 108 bytes of a picture's input are a multiple of 256 for 64 of them.
  expect(picturesAtOnce(limits, c)).toBe(64);
  expect(picturesAtOnce({ ...limits, minStorageBufferOffsetAlignment: 32 }, c)).toBe(96);
  expect(picturesAtOnce({ ...limits, maxStorageBufferBindingSize: 288 * 100 }, c)).toBe(100);
  expect(picturesAtOnce({ ...limits, maxStorageBufferBindingSize: 288 * 63 }, c)).toEqual({
    reason: 'its output takes 18432 bytes at a time; this device binds at most 18144',
  });
});
