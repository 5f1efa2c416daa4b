/** The WebAssembly tiers on several threads: the same bits, whatever happens to the helpers. */
import { getThreads, setThreads, ThreadError, threadStatus } from '@dsconv/backend-cpu';
import {
  compile,
  dsconv2d,
  dsDepthwiseConv2d,
  quantizeDepthwiseFilter,
  quantizeFilter,
  selectBackend,
} from '@dsconv/core';
import * as tf from '@tensorflow/tfjs-core';
import fc from 'fast-check';
import { afterAll, afterEach, describe, expect, test, vi } from 'vitest';
import type { CpuTier } from '../src/tiers.js';
import { values } from './compare.js';
import { WASM_BACKENDS } from './tiers.js';
import { helpersOf, type Kernels, kernelsWith } from './wasm-helpers.js';

const RUNS = { numRuns: 8 };

/** Computes on 1, 2 and 3 threads; helpers take part, and nothing depends on it. */
async function expectSameBits(body: () => tf.Tensor): Promise<void> {
  let wanted: Uint32Array | null = null;
  for (const threads of [1, 2, 3]) {
    await setThreads(threads);
    const y = tf.tidy(body);
    const bits = new Uint32Array((y.dataSync() as Float32Array).buffer);
    y.dispose();
    wanted ??= bits;
    const wrong = bits.findIndex((value, n) => value !== wanted![n]);
    if (wrong >= 0) expect.fail(`output ${wrong} of ${bits.length} differs on ${threads} threads`);
  }
}

const tensor = <R extends tf.Rank>(shape: number[], seed: number) =>
  tf.tensor<R>(values(tf.util.sizeFromShape(shape), seed), shape as tf.ShapeMap[R]);

const image = fc.record({
  batch: fc.integer({ min: 1, max: 3 }),
  height: fc.integer({ min: 5, max: 40 }),
  width: fc.integer({ min: 5, max: 40 }),
  channels: fc.integer({ min: 1, max: 70 }),
  seed: fc.integer(),
});

describe.each(WASM_BACKENDS)('threads of %s', (name) => {
  const tier = name.split('/')[1] as CpuTier;
  const helpers = () => helpersOf(tf.backend());
  let before = 0;
  const begin = async () => {
    await selectBackend([name]);
    await setThreads(3);
    helpers().leastWork = 1;
    before = helpers().partsTaken;
  };
  const expectHelp = () => expect(helpers().partsTaken).toBeGreaterThan(before);
  afterAll(() => setThreads(2));

  test('convolve to the same bits', async () => {
    await begin();
    const convolution = fc.record({
      kernel: fc.constantFrom(1, 3),
      stride: fc.constantFrom(1, 2),
      outputs: fc.integer({ min: 1, max: 90 }),
      bits: fc.constantFrom(2, 4, 8),
      blockSize: fc.constantFrom(8, 32, 64),
      activationBits: fc.constantFrom(8, 5, null),
      activation: fc.constantFrom('linear' as const, 'relu' as const, 'silu' as const),
    });
    await fc.assert(
      fc.asyncProperty(image, convolution, async ({ batch, height, width, channels, seed }, c) => {
        const shape = [c.kernel, c.kernel, channels, c.outputs] as const;
        const weights = values(tf.util.sizeFromShape([...shape]), seed);
        const { bits, blockSize, activationBits, activation } = c;
        const filter = quantizeFilter(weights, shape, { bits, blockSize });
        const outputFormat = activation === 'relu' ? { bits: 8, blockSize: 16 } : undefined;
        await expectSameBits(() => {
          const x = tensor<tf.Rank.R4>([batch, height, width, channels], seed);
          const y = dsconv2d(x, filter, c.stride, 'same', { activationBits, activation, outputFormat });
          const z = tf.conv2d(x, tf.tensor4d(weights, [...shape]), c.stride, 'same');
          return tf.concat([y, z]);
        });
        filter.dispose();
      }),
      RUNS,
    );
    expectHelp();
  });

  test('convolve channels alone, pool and average to the same bits', async () => {
    await begin();
    const window = fc.record({ size: fc.constantFrom(2, 3), stride: fc.constantFrom(1, 2) });
    await fc.assert(
      fc.asyncProperty(image, window, async ({ batch, height, width, channels, seed }, { size, stride }) => {
        const weights = values(9 * channels, seed);
        const filter = quantizeDepthwiseFilter(weights, [3, 3, channels, 1], { bits: 4 });
        await expectSameBits(() => {
          const x = tensor<tf.Rank.R4>([batch, height, width, channels], seed);
          const flat = [
            dsDepthwiseConv2d(x, filter, stride, 'same'),
            tf.depthwiseConv2d(x, tf.tensor4d(weights, [3, 3, channels, 1]), stride, 'same'),
            tf.maxPool(x, size, stride, 'same'),
            tf.avgPool(x, size, stride, 'valid'),
            tf.mean(x, [1, 2]),
          ].map((y) => tf.reshape(y, [-1]));
          return tf.concat(flat);
        });
        filter.dispose();
      }),
      RUNS,
    );
    expectHelp();
  });

  test('multiply matrices and work on elements to the same bits', async () => {
    await begin();
    const product = fc.record({
      batch: fc.integer({ min: 1, max: 2 }),
      m: fc.constantFrom(1, 3, 4, 30, 70, 130),
      k: fc.integer({ min: 1, max: 300 }),
      n: fc.integer({ min: 1, max: 700 }),
      transposeA: fc.boolean(),
      transposeB: fc.boolean(),
      seed: fc.integer(),
    });
    await fc.assert(
      fc.asyncProperty(product, async ({ batch, m, k, n, transposeA, transposeB, seed }) => {
        await expectSameBits(() => {
          const a = tensor<tf.Rank.R3>(transposeA ? [batch, k, m] : [batch, m, k], seed);
          const b = tensor<tf.Rank.R3>(transposeB ? [batch, n, k] : [batch, k, n], seed + 1);
          const y = tf.matMul(a, b, transposeA, transposeB);
          const row = tensor([n], seed + 2);
          const sums = [tf.sub(y, row), tf.mul(y, 3), tf.add(y, y), tf.relu6(y), tf.prelu(y, row)];
          return tf.concat([y, ...sums] as tf.Tensor3D[]);
        });
      }),
      RUNS,
    );
    expectHelp();
  });

  test('run plans to the same bits, and say how many they are', async () => {
    await begin();
    const filter = quantizeFilter(values(9 * 48 * 40, 3), [3, 3, 48, 40], { bits: 4, blockSize: 32 });
    const x = tensor<tf.Rank.R4>([2, 30, 30, 48], 1);
    const body = (input: tf.Tensor) =>
      tf.maxPool(dsconv2d(input as tf.Tensor4D, filter, 1, 'same', { activation: 'relu' }), 3, 2, 'same');
    const plan = await compile((input) => body(input!), x);
    const outputs: string[] = [];
    for (const threads of [1, 2, 3, 2]) {
      await setThreads(threads);
      expect(await threadStatus(tier)).toEqual({ threads, reason: null });
      expect(await getThreads(tier)).toBe(threads);
      const y = (await plan.run(x)) as tf.Tensor;
      outputs.push(Buffer.from((await y.data()).buffer).toString('base64'));
      y.dispose();
    }
    expect(new Set(outputs).size).toBe(1);
    plan.dispose();
    expectHelp();
  });

  test('lose no job in thousands of small ones', async () => {
    await begin();
    const x = tensor([40_000], 1);
    let y = tf.relu(x);
    for (let n = 0; n < 4000; n++) {
      const next = n % 2 === 0 ? tf.sub(x, y) : tf.add(x, y);
      y.dispose();
      y = next;
    }
    // x - y and x + y in turns: after two of them y is 2 x - y, which rounding does not leave quite the same each time.
    await setThreads(1);
    let alone = tf.relu(x);
    for (let n = 0; n < 4000; n++) alone = n % 2 === 0 ? tf.sub(x, alone) : tf.add(x, alone);
    expect(y.dataSync()).toEqual(alone.dataSync());
    expectHelp();
  });

  test('see the memory grow between one job and the next', async () => {
    await begin();
    const backend = () => tf.memory() as unknown as { heapByteLength: number };
    const size = backend().heapByteLength;
    const held: tf.Tensor[] = [];
    for (let n = 0; backend().heapByteLength < size + 50e6; n++) {
      const y = tf.add(tensor([500_000], n), n);
      held.push(y);
      expect(y.dataSync()[499_999]).toBe(Math.fround(values(500_000, n)[499_999]! + n));
    }
    expect(held.length).toBeGreaterThan(10);
    // What was read before the memory grew stays what it was, and what a slice was taken of may go.
    const part = tf.slice(held[0]!, 5, 3);
    const wanted = [...part.dataSync()];
    tf.dispose(held);
    tf.relu(tensor([500_000], 99));
    expect([...part.dataSync()]).toEqual(wanted);
    expect(part.dataSync().buffer).toBeInstanceOf(ArrayBuffer);
    expectHelp();
  });
});

describe('helpers that are not as they should be', () => {
  const made: Kernels[] = [];
  afterEach(() => {
    for (const { helpers } of made.splice(0)) helpers.dispose();
  });
  const kernels = async (...given: Parameters<typeof kernelsWith>) => {
    const one = await kernelsWith(...given);
    made.push(one);
    return one;
  };

  test('cannot be made: one thread, and the reason', async () => {
    const { helpers, addOne } = await kernels(async () => {
      throw new Error('workers are forbidden');
    });
    await helpers.resize(3, true);
    expect(helpers.threads).toBe(1);
    expect(helpers.failure).toBe('a helper thread failed: workers are forbidden');
    expect(addOne()).toBe(true);
  });

  test('end before they serve: one thread, and the reason', async () => {
    const { helpers, addOne } = await kernels(async ({ onEnd }) => {
      setTimeout(() => onEnd('no such script'), 5);
      return { post: () => {}, terminate: () => {}, hold: () => {} };
    });
    await helpers.resize(2, true);
    expect(helpers.threads).toBe(1);
    expect(helpers.failure).toBe('a helper thread failed: no such script');
    expect(addOne()).toBe(true);
  });

  test('fail in a part: an error, then one thread', async () => {
    const { helpers, addOne } = await kernels('fails');
    await helpers.resize(2, true);
    expect(helpers.threads).toBe(2);
    expect(() => untilHelped(addOne)).toThrow(ThreadError);
    expect(helpers.threads).toBe(1);
    expect(helpers.failure).toBe('a helper thread failed');
    expect(addOne()).toBe(true);
  });

  test('never come back from a part: an error instead of a hang, then one thread', async () => {
    const { helpers, addOne } = await kernels('hangs', 400);
    await helpers.resize(2, true);
    expect(() => untilHelped(addOne)).toThrow(/did not answer for 400 ms; the kernel has no result/);
    expect(helpers.threads).toBe(1);
    expect(addOne()).toBe(true);
  });

  test('are waited for awake where a thread may not sleep, as the main thread of a page', async () => {
    const sleep = vi.spyOn(Atomics, 'wait').mockImplementation(() => {
      throw new TypeError('Atomics.wait cannot be called in this context');
    });
    const [good, bad] = await Promise.all([kernels(), kernels('hangs', 50)]).finally(() =>
      sleep.mockRestore(),
    );
    await Promise.all([good.helpers.resize(3, true), bad.helpers.resize(2, true)]);
    for (let n = 0; n < 300 || (n < 20_000 && good.helpers.partsTaken === 0); n++) {
      expect(good.addOne()).toBe(true);
    }
    expect(good.helpers.partsTaken).toBeGreaterThan(0);
    expect(() => untilHelped(bad.addOne)).toThrow(/did not answer for 50 ms/);
    expect(bad.addOne()).toBe(true);
  });

  test('come and go as they are told, while kernels are called', async () => {
    const { helpers, addOne } = await kernels();
    for (const threads of [2, 4, 1, 3, 2, 1, 2]) {
      const change = helpers.resize(threads, true);
      expect(addOne()).toBe(true);
      await change;
      expect(helpers.threads).toBe(threads);
      expect(addOne()).toBe(true);
    }
    const changes = [3, 1, 2, 1, 4].map((threads) => helpers.resize(threads, true));
    for (let n = 0; n < 100; n++) expect(addOne()).toBe(true);
    await Promise.all(changes);
    expect(helpers.threads).toBe(4);
    expect(helpers.failure).toBeNull();
  });
});

/** Calls a kernel until a helper was there in time. */
function untilHelped(kernel: () => boolean): void {
  for (let n = 0; n < 20_000; n++) kernel();
}
