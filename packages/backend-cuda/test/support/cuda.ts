/** What every test of this package stands on: the backend `dsconv-cuda` on the emulation, or on a GPU where DSCONV_CUDA_DRIVER says so. */
import { requireOrSkip } from '@dsconv/conformance/vitest';
import { getDSConvBackend, selectBackend } from '@dsconv/core';
import * as tf from '@tensorflow/tfjs-core';
import { beforeAll, beforeEach } from 'vitest';
import { BACKEND_NAME, type CudaBackend } from '../../src/index.js';

/** Milliseconds for making the backend, known answers included. */
const CREATION_TIMEOUT = 120_000;

/**
 * Call it at the top of a file: its tests run on `dsconv-cuda`. Where it cannot be had they are skipped with the reason, or fail where DSCONV_REQUIRE lists it.
 *
 * @param tier pins the backend
 */
export function onCuda(tier?: string): void {
  let missing: string | null = null;
  beforeAll(async () => {
    const contract = getDSConvBackend(BACKEND_NAME)!;
    const support = await contract.probe();
    if (support !== true) missing = support.reason;
    else await selectBackend([tier ? contract.pinTier!(tier) : BACKEND_NAME]);
  }, CREATION_TIMEOUT);
  beforeEach((context) => {
    if (missing !== null) requireOrSkip(context, BACKEND_NAME, missing);
  });
}

/** The current backend. */
export const cuda = (): CudaBackend => tf.backend() as CudaBackend;
