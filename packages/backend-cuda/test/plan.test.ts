/** Plans against the eager run of the same function, several at once, and what they leave behind. */
import { captureAsync, compile, compilePlan, DisposedError, dsconv2d } from '@dsconv/core';
import * as tf from '@tensorflow/tfjs-core';
import { expect, test } from 'vitest';
import { constant, filter, testPlans } from '../../conformance/test/support/plans.js';
import { OutOfMemoryError, useCuda } from '../src/index.js';
import { cuda, onCuda } from './support/cuda.js';

onCuda();

testPlans();

const inUse = () => cuda().device.memory.inUse;

/** A network of two convolutions with something between. */
function network() {
  const [f1, f2] = [filter([3, 3, 32, 32], 1), filter([1, 1, 32, 32], 2)];
  return (t: tf.Tensor) => {
    const y = dsconv2d(t as tf.Tensor4D, f1, 1, 'same', { activation: 'relu' });
    return tf.mean(dsconv2d(y, f2, 1, 'same', { residual: y }), [1, 2]);
  };
}

test('runs from host memory to host memory, many in flight, in any mixture with those of tensors', async () => {
  const body = network();
  const inputs = [1, 2, 3, 4, 5].map((seed) => constant([1, 4, 5, 32], seed));
  const wanted = await Promise.all(inputs.map(async (x) => [...(await body(x).data())]));
  const plan = await compile(body, inputs[0]!);
  expect(plan.reason).toBeNull();
  const runs = inputs.map(async (x, n) => {
    if (n % 2 === 1) return [...(await ((await plan.run(x)) as tf.Tensor).data())];
    const outputs = [new Float32Array(32)];
    const values = (x.dataSync() as Float32Array).slice();
    const done = plan.compiled!.run([values], outputs);
    // The inputs are read before the call returns.
    values.fill(Number.NaN);
    await done;
    return [...outputs[0]!];
  });
  expect(await Promise.all(runs)).toEqual(wanted);
  plan.dispose();
});

test('several plans run at once on streams of their own', async () => {
  const body = network();
  const x = constant([1, 4, 5, 32], 1);
  const wanted = [...(await body(x).data())];
  const plans = await Promise.all([1, 2, 3].map(() => compile(body, x)));
  const values = x.dataSync() as Float32Array;
  const runs = plans.flatMap(({ compiled }) =>
    [1, 2].map(async () => {
      const outputs = [new Float32Array(32)];
      await compiled!.run([values], outputs);
      return [...outputs[0]!];
    }),
  );
  for (const found of await Promise.all(runs)) expect(found).toEqual(wanted);
  for (const plan of plans) plan.dispose();
});

test('inputs on the device, disposed of right after the call', async () => {
  const body = network();
  const x = constant([1, 4, 5, 32], 1);
  const wanted = [...(await body(x).data())];
  const plan = await compile(body, x);
  const own = tf.relu(tf.add(x, 0));
  const same = [...(await body(own).data())];
  const run = plan.run(own);
  own.dispose();
  const rubbish = tf.fill([1, 4, 5, 32], 9);
  expect([...(await ((await run) as tf.Tensor).data())]).toEqual(same);
  expect(same).not.toEqual(wanted);
  rubbish.dispose();
  plan.dispose();
});

test('dispose in the middle of runs lets them end, and gives everything back', async () => {
  const body = network();
  const x = constant([1, 4, 5, 32], 1);
  const wanted = [...(await body(x).data())];
  const before = inUse();
  const plan = await compile(body, x);
  expect(inUse()).toBeGreaterThan(before);
  const values = x.dataSync() as Float32Array;
  const outputs = [1, 2, 3].map(() => [new Float32Array(32)]);
  const runs = outputs.map((output) => plan.compiled!.run([values], output));
  plan.dispose();
  await Promise.all(runs);
  for (const [output] of outputs) expect([...output!]).toEqual(wanted);
  await expect(plan.run(x)).rejects.toThrow(DisposedError);
  expect(inUse()).toBe(before);
});

test('what a filter takes on the device is held by plans, and given back', async () => {
  const before = inUse();
  const f = filter([1, 1, 64, 64], 5);
  const x = constant([1, 3, 3, 64], 6);
  const body = (t: tf.Tensor) => dsconv2d(t as tf.Tensor4D, f, 1, 'valid');
  const plan = await compile(body, x);
  const y = body(x);
  const wanted = [...(await y.data())];
  f.dispose();
  const z = (await plan.run(x)) as tf.Tensor;
  expect([...(await z.data())]).toEqual(wanted);
  plan.dispose();
  tf.dispose([x, y, z]);
  expect(inUse()).toBe(before);
});

test('plans of a backend that is disposed of end with it', async () => {
  const body = network();
  const x = constant([1, 4, 5, 32], 1);
  const values = x.dataSync() as Float32Array;
  const plan = await compile(body, x);
  const runs = [1, 2, 3].map(() => plan.compiled!.run([values], [new Float32Array(32)]));
  await useCuda();
  for (const run of await Promise.allSettled(runs)) {
    if (run.status === 'rejected') expect(run.reason).toBeInstanceOf(DisposedError);
  }
  await expect(plan.compiled!.run([values], [new Float32Array(32)])).rejects.toThrow(DisposedError);
  plan.dispose();
});

test('a plan that does not fit the memory is eager, and says why', async () => {
  await useCuda({ memoryLimit: 16 * 2 ** 20 });
  const x = constant([1, 64, 64, 64], 1);
  const trace = await captureAsync((t) => tf.add(tf.relu(t), tf.sigmoid(t)), x);
  const before = inUse();
  const held: number[] = [];
  const fill = () => {
    for (;;) held.push(cuda().allocate(2 ** 20));
  };
  expect(fill).toThrow(OutOfMemoryError);
  const plan = await compilePlan(trace);
  for (const address of held) cuda().free(address);
  expect(plan.mode).toBe('eager');
  expect(plan.reason).toMatch(/bytes are requested on the GPU/);
  expect(inUse()).toBe(before);
  // There is room again.
  expect((await compilePlan(trace)).mode).toBe('compiled');
  await useCuda();
});
