/** The WebAssembly tiers on three threads, the smallest kernels too. */
import { setThreads } from '@dsconv/backend-cpu';
import { describeConformance } from '@dsconv/conformance/vitest';
import { selectBackend } from '@dsconv/core';
import * as tf from '@tensorflow/tfjs-core';
import { afterAll, expect } from 'vitest';
import type { Helpers } from '../src/wasm/helpers.js';
import { WASM_BACKENDS } from './tiers.js';
import { helpersOf } from './wasm-helpers.js';

const pools: Helpers[] = [];
for (const name of WASM_BACKENDS) {
  await selectBackend([name]);
  await setThreads(3);
  const helpers = helpersOf(tf.backend());
  helpers.leastWork = 1;
  pools.push(helpers);
  describeConformance(name);
}

afterAll(() => {
  for (const helpers of pools) {
    expect(helpers.threads).toBe(3);
    expect(helpers.partsTaken).toBeGreaterThan(100);
  }
});
