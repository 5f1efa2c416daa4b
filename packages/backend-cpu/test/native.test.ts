/** What only the native tier has: threads, handles that can be misused, worker threads, and an addon that must never crash. */
import { Worker } from 'node:worker_threads';
import { BACKEND_NAME, getThreads, measurePeaks, profilePlan, setThreads } from '@dsconv/backend-cpu';
import {
  capture,
  compile,
  dsconv2d,
  getDSConvBackend,
  InvalidArgumentError,
  quantizeFilter,
  selectBackend,
} from '@dsconv/core';
import * as tf from '@tensorflow/tfjs-core';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { DSConvNative } from '../native/interface.js';
import { callRecord } from '../src/native/call-record.js';
import { loadNative } from '../src/native/load.js';
import { packFilter } from '../src/native/pack-filter.js';

const found = await loadNative().catch((error: Error) => error);
const weights = (length: number, seed: number) =>
  Float32Array.from({ length }, (_, n) => Math.sin(n * 1.3 + seed));

// The conformance suite fails where DSCONV_REQUIRE lists the tier; here it is enough to skip.
describe.skipIf(found instanceof Error)('the native tier', () => {
  const native = found as DSConvNative;
  const filter = quantizeFilter(weights(9 * 48 * 40, 1), [3, 3, 48, 40], { bits: 4, blockSize: 32 });
  const second = quantizeFilter(weights(40 * 24, 3), [1, 1, 40, 24], { bits: 8 });
  let before = 1;

  beforeAll(async () => {
    await selectBackend([getDSConvBackend(BACKEND_NAME)!.pinTier!('native')]);
    before = await getThreads();
  });
  afterAll(() => setThreads(before));

  test('gives the same bits for every number of threads, eager and planned', async () => {
    const x = tf.tensor4d(weights(2 * 13 * 11 * 48, 2), [2, 13, 11, 48]);
    const run = (t: tf.Tensor) => {
      const y = dsconv2d(t as tf.Tensor4D, filter, 1, 'same', { activation: 'relu' });
      return dsconv2d(y, second, 1, 'valid');
    };
    await setThreads(1);
    const wanted = [...run(x).dataSync()];
    const plan = await compile((t) => dsconv2d(t as tf.Tensor4D, filter, 2, 'same'), x);
    const planned = [...((await plan.run(x)) as tf.Tensor).dataSync()];
    for (const threads of [2, 3, 4, 7]) {
      await setThreads(threads);
      expect(await getThreads()).toBe(threads);
      expect([...run(x).dataSync()]).toEqual(wanted);
      expect([...((await plan.run(x)) as tf.Tensor).dataSync()]).toEqual(planned);
    }
    plan.dispose();
  });

  test('refuses numbers of threads that are none', async () => {
    for (const n of [0, -1, 1.5, 257, Number.NaN])
      await expect(setThreads(n)).rejects.toThrow(InvalidArgumentError);
  });

  test('measures the limits of a core', async () => {
    const { isa, int8Dot, floatFma } = await measurePeaks();
    expect(isa).toBe(native.isa);
    // No machine that runs this is below, and none above.
    for (const peak of [int8Dot, floatFma]) {
      expect(peak).toBeGreaterThan(0.05);
      expect(peak).toBeLessThan(10_000);
    }
  });

  test('plans outlive the filters they were made with', async () => {
    const own = quantizeFilter(weights(40 * 24, 3), [1, 1, 40, 24], { bits: 4, blockSize: 32 });
    const x = tf.tensor4d(weights(6 * 40, 2), [1, 2, 3, 40]);
    const wanted = [...dsconv2d(x, own, 1, 'same').dataSync()];
    const plan = await compile((t) => dsconv2d(t as tf.Tensor4D, own, 1, 'same'), x);
    own.dispose();
    expect([...((await plan.run(x)) as tf.Tensor).dataSync()]).toEqual(wanted);
    plan.dispose();
  });

  test('says where the time of a plan goes', async () => {
    const x = tf.tensor4d(weights(8 * 8 * 48, 2), [1, 8, 8, 48]);
    const trace = capture((t) => {
      const y = dsconv2d(t as tf.Tensor4D, filter, 1, 'same');
      return tf.softmax(tf.mean(tf.maxPool(dsconv2d(y, second, 1, 'valid'), 2, 2, 'valid'), [1, 2]));
    }, x);
    const plan = await profilePlan(trace);
    const steps = await plan.run([x.dataSync() as Float32Array], [new Float32Array(24)]);
    plan.dispose();
    const ops = ['convert', 'convolution', 'convolution', 'pool', 'mean', 'softmax'];
    expect(steps.map(({ op }) => op)).toEqual(ops);
    expect(steps.map(({ macs }) => macs)).toEqual([0, 64 * 9 * 48 * 40, 64 * 40 * 24, 0, 0, 0]);
    for (const { microseconds } of steps) expect(microseconds).toBeGreaterThan(0);
  });

  test('says its instruction set and threads', async () => {
    await setThreads(3);
    const [status] = await getDSConvBackend(BACKEND_NAME)!.tiers();
    await setThreads(before);
    expect(status).toEqual({
      tier: 'native',
      available: true,
      reason: `instruction set ${native.isa}, 3 threads`,
    });
  });

  test('works in worker threads, several at once, and lets them end', async () => {
    const code = `
      const { parentPort, workerData } = require('node:worker_threads');
      const native = require(workerData.build)(workerData.folder);
      if (native.selfTest() !== null) throw new Error('self-test failed');
      native.setThreads(2);
      parentPort.postMessage(native.isa);
    `;
    const { createRequire } = await import('node:module');
    const { fileURLToPath } = await import('node:url');
    const workerData = {
      build: createRequire(import.meta.url).resolve('node-gyp-build'),
      folder: fileURLToPath(new URL('../native', import.meta.url)),
    };
    const answers = await Promise.all(
      [1, 2, 3].map(
        () =>
          new Promise((resolve, reject) => {
            const worker = new Worker(code, { eval: true, workerData });
            worker.once('message', resolve);
            worker.once('error', reject);
          }),
      ),
    );
    expect(answers).toEqual([native.isa, native.isa, native.isa]);
  });

  describe('misused', () => {
    const geometry = {
      batch: 1,
      inHeight: 4,
      inWidth: 4,
      inChannels: 48,
      outHeight: 4,
      outWidth: 4,
      outChannels: 40,
      kernelHeight: 3,
      kernelWidth: 3,
      strideHeight: 1,
      strideWidth: 1,
      dilationHeight: 1,
      dilationWidth: 1,
      padTop: 1,
      padBottom: 1,
      padLeft: 1,
      padRight: 1,
      groups: 1,
    };
    const record = callRecord(geometry, { mantissa: 8 });
    const x = weights(16 * 48, 4);

    test('a disposed, foreign or missing handle is an exception', () => {
      const packed = packFilter(native, filter, 1);
      const y = new Float32Array(16 * 40);
      native.dsconv2d(record, packed, x, y, null, null, null, 0);
      packed.dispose();
      packed.dispose();
      for (const handle of [packed, {}, null, undefined, 1, Object.create(packed as object)]) {
        expect(() => native.dsconv2d(record, handle as never, x, y, null, null, null, 0)).toThrow(Error);
      }
    });

    test('call records of any content give an exception or a result, never a crash', () => {
      const packed = packFilter(native, filter, 1);
      const y = new Float32Array(16 * 40);
      const word = fc.oneof(
        fc.integer({ min: -3, max: 9 }),
        fc.integer(),
        fc.constantFrom(48, 40, 1 << 30, -(2 ** 31)),
      );
      fc.assert(
        fc.property(fc.array(fc.tuple(fc.nat(31), word), { maxLength: 6 }), fc.nat(40), (changes, length) => {
          const damaged = record.slice(0, 32 - (length > 32 ? length - 32 : 0));
          for (const [at, value] of changes) damaged[at] = value;
          try {
            native.dsconv2d(damaged, packed, x, y, null, null, null, 0);
          } catch (error) {
            expect(error).toBeInstanceOf(Error);
          }
        }),
        { numRuns: 3000 },
      );
      packed.dispose();
    });

    test('arguments of any kind give an exception or a result, never a crash', () => {
      const anything = fc.oneof(
        fc.anything(),
        fc.constantFrom(
          new Float32Array(0),
          new Float32Array(7),
          new Float32Array(new SharedArrayBuffer(64)),
          new Int8Array(9),
          x,
        ),
      );
      const names = Object.keys(Object.getOwnPropertyDescriptors(native)).filter(
        (name) => typeof (native as never)[name] === 'function' && !/^(setIsa|setThreads)$/.test(name),
      );
      expect(names.length).toBeGreaterThan(10);
      fc.assert(
        fc.property(fc.constantFrom(...names), fc.array(anything, { maxLength: 10 }), (name, args) => {
          try {
            (native as unknown as Record<string, (...args: unknown[]) => unknown>)[name]!(...args);
          } catch (error) {
            expect(error).toBeInstanceOf(Error);
          }
        }),
        { numRuns: 4000 },
      );
    });

    test('plans disposed while they run, or fed with the wrong lengths', async () => {
      const input = tf.tensor4d(x, [1, 4, 4, 48]);
      for (let n = 0; n < 30; n++) {
        const plan = await compile((t) => dsconv2d(t as tf.Tensor4D, filter, 1, 'same'), input);
        const compiled = plan.compiled!;
        expect(() => compiled.run([new Float32Array(3)], [new Float32Array(640)])).toThrow();
        const runs = [1, 2, 3].map(() => compiled.run([x], [new Float32Array(640)]));
        plan.dispose();
        const states = await Promise.allSettled(runs);
        for (const state of states) {
          if (state.status === 'rejected') expect(state.reason).toMatchObject({ code: 'DISPOSED' });
        }
      }
    });
  });
});
