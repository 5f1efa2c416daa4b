/** The state that belongs to each TensorFlow.js backend. */
import { UnsupportedError } from '@dsconv/core';
import type { WebGPUBackend } from '@tensorflow/tfjs-backend-webgpu';
import type { GpuState } from './gpu/state.js';

const states = new WeakMap<WebGPUBackend, GpuState>();

export function keepState(state: GpuState): void {
  states.set(state.backend, state);
}

export function hasState(backend: WebGPUBackend): boolean {
  return states.has(backend);
}

/**
 * @throws UnsupportedError when the backend was made without this package
 * @throws DeviceLostError when its device is lost
 */
export function stateOf(backend: WebGPUBackend): GpuState {
  const state = states.get(backend);
  if (!state) {
    throw new UnsupportedError(
      "backend 'webgpu' was created before @dsconv/backend-webgpu was imported; expected the import first, or await selectBackend(['webgpu'])",
    );
  }
  state.alive();
  return state;
}
