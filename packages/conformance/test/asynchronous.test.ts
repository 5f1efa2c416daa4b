/** Backends of a GPU hand over results by a Promise only: the suite must need nothing else to judge them. */
import { setBackend, tensor1d } from '@tensorflow/tfjs-core';
import { beforeAll, describe, expect, it } from 'vitest';
import { allCases, runCases } from '../src/index.js';
import { registerAsynchronousBackend } from './mutants/backend.js';

describe('a backend without dataSync', () => {
  const backendName = registerAsynchronousBackend(null);

  beforeAll(async () => {
    await setBackend(backendName);
    expect(() => tensor1d([1]).dataSync()).toThrow('only be read asynchronously');
  });

  it('passes every case', async () => {
    const results = await runCases(allCases, { backendName });
    expect(results.filter(({ status }) => status !== 'passed')).toEqual([]);
  });

  it('is found out when one pixel is wrong', async () => {
    const results = await runCases(allCases.slice(0, 3), {
      backendName: registerAsynchronousBackend('onePixelOff'),
    });
    expect(results[0]).toMatchObject({ status: 'failed', mismatch: { index: [0, 0, 0, 5] } });
  });
});
