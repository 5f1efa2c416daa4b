/** What TensorFlow.js expects of any backend: values, references, memory, time. */
import * as tf from '@tensorflow/tfjs-core';
import { expect, test } from 'vitest';
import '@tensorflow/tfjs-backend-cpu';
import { heldOnHost } from '../src/fallback.js';
import { cuda, onCuda } from './support/cuda.js';

onCuda();

/** Brings a tensor to the device and away from the host, whatever its size. */
function onDevice<T extends tf.Tensor>(tensor: T): T {
  const bytes = tensor.dtype === 'bool' ? 1 : 4;
  const info = cuda().make(tensor.shape, tensor.dtype as 'float32' | 'int32' | 'bool', (y) =>
    cuda().copy(y.address, cuda().tensor(tensor).address, tensor.size * bytes),
  );
  tensor.dispose();
  return tf.engine().makeTensorFromTensorInfo(info, cuda()) as T;
}

test('values come back as they went, from the host and from the device', async () => {
  const tensors = [
    tf.tensor1d([1.5, -2, Number.NaN, Number.POSITIVE_INFINITY, -0]),
    tf.tensor2d([1, -2, 2 ** 31 - 1, -(2 ** 31)], [2, 2], 'int32'),
    tf.tensor1d([true, false, true], 'bool'),
    tf.scalar(7),
    tf.zeros([0, 3]),
    tf.tensor1d(Float32Array.from({ length: 1000 }, (_, n) => n / 3)),
  ];
  for (const tensor of tensors) {
    const wanted = await tensor.data();
    const moved = onDevice(tensor);
    expect(await moved.data()).toEqual(wanted);
    expect(moved.dataSync()).toEqual(wanted);
    moved.dispose();
  }
});

test('strings and complex numbers stay on the host', async () => {
  const words = tf.tensor1d(['a', 'ß', '']);
  expect(await words.data()).toEqual(['a', 'ß', '']);
  const z = tf.complex([1, 2], [3, -4]);
  expect(Array.from(await z.data())).toEqual([1, 3, 2, -4]);
  expect(Array.from(await tf.imag(z).data())).toEqual([3, -4]);
  expect(() => cuda().tensor(words)).toThrow(/dtype string, which stays on the host/);
  tf.dispose([words, z]);
});

test('many values are not kept twice: on the host they are gone once they are on the device', () => {
  const before = tf.memory() as unknown as { numBytesInGPU: number };
  const x = tf.tensor1d(new Float32Array(1000));
  const gpu = () =>
    (tf.memory() as unknown as { numBytesInGPU: number }).numBytesInGPU - before.numBytesInGPU;
  expect(gpu()).toBe(0);
  cuda().tensor(x);
  expect(gpu()).toBe(4000);
  x.dispose();
  expect(gpu()).toBe(0);
});

test('data are freed with their last tensor, reshapes and clones included', () => {
  const count = cuda().numDataIds();
  const { blocks } = cuda().device.memory;
  const x = onDevice(tf.tensor1d([1, 2, 3, 4]));
  const y = tf.reshape(x, [2, 2]);
  const z = tf.clone(y);
  expect(cuda().numDataIds()).toBe(count + 1);
  x.dispose();
  y.dispose();
  expect(cuda().device.memory.blocks).toBe(blocks + 1);
  expect(Array.from(z.dataSync())).toEqual([1, 2, 3, 4]);
  z.dispose();
  expect(cuda().numDataIds()).toBe(count);
  expect(cuda().device.memory.blocks).toBe(blocks);
});

test('a read that is under way sees the values of its call, whatever happens to the memory afterwards', async () => {
  const values = Float32Array.from({ length: 5000 }, (_, n) => n);
  const x = onDevice(tf.tensor1d(values));
  const { address } = cuda().tensor(x);
  const read = x.data();
  x.dispose();
  const y = cuda().make([5000], 'float32', (other) => {
    // The block of x, given out again.
    expect(other.address).toBe(address);
    cuda().fill32(other.address, 0, 5000);
  });
  expect(await read).toEqual(values);
  cuda().disposeData(y.dataId);
});

test('tensors move between backends by themselves', async () => {
  const name = tf.getBackend();
  const x = onDevice(tf.tensor1d([1, 2, 3]));
  await tf.setBackend('cpu');
  const y = tf.add(x, 1);
  await tf.setBackend(name);
  expect(Array.from(await tf.mul(y, x).data())).toEqual([2, 6, 12]);
  tf.dispose([x, y]);
});

test('a kernel that fails leaves no memory behind', () => {
  const { memory } = cuda().device;
  const { blocks, inUse } = memory;
  expect(() =>
    cuda().make([10], 'float32', () => {
      throw new Error('no');
    }),
  ).toThrow('no');
  expect(() =>
    cuda().temporary(100, () =>
      cuda().launch({ kernel: 'no_such', grid: [1], threads: 1, params: new Uint8Array(8) }),
    ),
  ).toThrow(/no_such/);
  expect([memory.blocks, memory.inUse]).toEqual([blocks, inUse]);
});

test('time() measures on the device', async () => {
  const x = onDevice(tf.tensor1d(new Float32Array(10_000)));
  const { kernelMs } = await tf.time(() => {
    tf.square(x).dispose();
  });
  expect(kernelMs).toBeGreaterThanOrEqual(0);
  x.dispose();
});

test('precision and epsilon are those of float32', () => {
  expect(cuda().floatPrecision()).toBe(32);
  expect(tf.backend().epsilon()).toBe(1e-7);
  expect(tf.memory().unreliable).toBe(false);
});

test('nothing of kernels on the CPU stays there', () => {
  tf.tidy(() => {
    tf.unique(tf.tensor1d([1, 1, 2]));
    tf.reverse(tf.tensor1d([1, 2, 3]));
  });
  expect(heldOnHost(cuda())).toBe(0);
});
