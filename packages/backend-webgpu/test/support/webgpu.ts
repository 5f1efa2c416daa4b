/** What every test of this package stands on, in Node and in Chromium: TensorFlow.js' backend `webgpu`, and no silent error of the GPU. */
import type { Guard } from '@dsconv/conformance';
import { requireOrSkip } from '@dsconv/conformance/vitest';
import type { WebGPUBackend } from '@tensorflow/tfjs-backend-webgpu';
import * as tf from '@tensorflow/tfjs-core';
import { afterEach, beforeAll, beforeEach, expect } from 'vitest';

/** The name in DSCONV_REQUIRE. */
export const REQUIRED_AS = 'webgpu';

/** Why there is no WebGPU here, or null. */
export const missing: string | null = await whyMissing();

async function whyMissing(): Promise<string | null> {
  const told = (globalThis as Record<symbol, unknown>)[Symbol.for('dsconv.test.no-webgpu')];
  if (typeof told === 'string') return told;
  if (!globalThis.navigator?.gpu) return 'there is no navigator.gpu';
  const adapter = await navigator.gpu.requestAdapter();
  return adapter ? null : 'navigator.gpu.requestAdapter() found no adapter';
}

/** Makes `webgpu` the current backend. @throws Error when TensorFlow.js cannot */
export async function setWebGPU(): Promise<WebGPUBackend> {
  await import('@tensorflow/tfjs-backend-webgpu');
  if (!(await tf.setBackend('webgpu'))) throw new Error("tf.setBackend('webgpu') returned false");
  // Small tensors would be computed on the CPU, which is not what is tested.
  tf.env().set('WEBGPU_CPU_FORWARD', false);
  return tf.backend() as WebGPUBackend;
}

/**
 * Call it in a `describe`, or at the top of a file: its tests run on `webgpu` and fail when the device reports an error that nobody caught.
 * Without WebGPU they are skipped with the reason, or fail where DSCONV_REQUIRE lists it.
 */
export function useWebGPU(): void {
  beforeAll(async () => {
    if (missing === null) watchErrors((await setWebGPU()).device);
    // The shaders are compiled then, by the CPU.
  }, 120_000);
  beforeEach((context) => {
    if (missing !== null) requireOrSkip(context, REQUIRED_AS, missing);
  });
  afterEach(async () => {
    expect(await uncapturedErrors(), 'uncaptured errors of the device').toEqual([]);
  });
}

/** The same for the conformance suite: a case fails when the device reports an error. */
export const errorGuard: Guard = {
  arm() {
    watchErrors((tf.backend() as WebGPUBackend).device);
  },
  async check() {
    const [first] = await uncapturedErrors();
    return first ? `the device reports: ${first}` : null;
  },
};

const watched = new Set<GPUDevice>();
const errors: string[] = [];

async function uncapturedErrors(): Promise<string[]> {
  await Promise.all([...watched].map((device) => device.queue.onSubmittedWorkDone()));
  return errors.splice(0);
}

/** Collects what the device reports; a test that makes a device of its own may add it. */
export function watchErrors(device: GPUDevice): void {
  if (watched.has(device)) return;
  watched.add(device);
  device.addEventListener('uncapturederror', (event) => {
    event.preventDefault();
    errors.push(event.error.message);
  });
  void device.lost.then(() => watched.delete(device));
}
