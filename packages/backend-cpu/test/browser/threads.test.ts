/** Threads of the WebAssembly tiers on the main thread of a page, which may not sleep while it waits for them. */
import { setThreads, threadStatus } from '@dsconv/backend-cpu';
import { selectBackend } from '@dsconv/core';
import * as tf from '@tensorflow/tfjs-core';
import { afterAll, describe, expect, test } from 'vitest';
import type { CpuTier } from '../../src/tiers.js';
import type { Helpers } from '../../src/wasm/helpers.js';
import { WASM_BACKENDS } from '../tiers.js';

/** Of the backend in use. A page cannot import what is for Node alone, as other tests' support is. */
const helpers = (): Helpers =>
  (tf.backend() as unknown as { engine: { heap: { helpers: Helpers } } }).engine.heap.helpers;

const LENGTH = 100_000;

describe.each(WASM_BACKENDS)('%s', (name) => {
  const tier = name.split('/')[1] as CpuTier;
  afterAll(() => setThreads(1));

  test('helpers take parts in an isolated page', async () => {
    expect(crossOriginIsolated).toBe(true);
    await selectBackend([name]);
    await setThreads(3);
    expect(await threadStatus(tier)).toEqual({ threads: 3, reason: null });
    helpers().leastWork = 1;
    const before = helpers().partsTaken;
    const x = tf.range(0, LENGTH, 1, 'float32');
    // Helpers are as fast as the caller only when there is a core for them.
    for (let turn = 0; turn < 1000 && helpers().partsTaken === before; turn++) {
      const y = tf.tidy(() => tf.add(x, 1));
      const values = await y.data();
      expect(values.findIndex((value, n) => value !== n + 1)).toBe(-1);
      y.dispose();
    }
    x.dispose();
    expect(helpers().partsTaken).toBeGreaterThan(before);
  });
});
