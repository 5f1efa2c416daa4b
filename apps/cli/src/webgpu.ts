/**
 * The backend `webgpu` in Node, where the packages that it takes are installed beside this command. None of them is a dependency: Dawn alone, the package
 * `webgpu`, weighs 130 MB.
 */
import { add, env, tensor1d, tidy } from '@tensorflow/tfjs-core';
import { oneLine } from './errors.js';

export const WEBGPU = 'webgpu';

/** In the order in which they are imported: TensorFlow.js looks for `navigator.gpu` when its backend is. */
const PACKAGES = ['webgpu', '@tensorflow/tfjs-backend-webgpu', '@dsconv/backend-webgpu'] as const;

/** Without it SwiftShader, a driver that computes on the CPU, compiles shaders a thousand times slower; Dawn clears workgroup memory by itself then. */
const DAWN_OPTIONS = ['disable-dawn-features=use_vulkan_zero_initialize_workgroup_memory_extension'];

interface Dawn {
  create(options: string[]): unknown;
  globals: object;
}

/**
 * Puts Dawn's `navigator.gpu` in place, unless there is one, and makes the backend known.
 *
 * @returns null, or in one sentence what is not installed
 */
export async function provideWebGPU(): Promise<string | null> {
  for (const name of PACKAGES) {
    try {
      if (name !== 'webgpu') await import(name);
      else if (!hasGpu()) takeDawn((await import(name)) as Dawn);
    } catch (error) {
      const why = error instanceof Error ? oneLine(error.message) : String(error);
      return `it needs the package ${name} beside this command, which can be installed by 'npm install ${PACKAGES.join(' ')}' (${why})`;
    }
  }
  // Small tensors would be computed on the CPU, which says nothing of the GPU.
  env().set('WEBGPU_CPU_FORWARD', false);
  return null;
}

/** Resolves when the GPU of the current backend has done all that it was given: it works in order, so reading what comes last is enough. */
export async function gpuIsDone(): Promise<void> {
  const last = tidy(() => add(tensor1d([0]), 1));
  await last.data();
  last.dispose();
}

function hasGpu(): boolean {
  return Boolean((globalThis as { navigator?: { gpu?: unknown } }).navigator?.gpu);
}

function takeDawn({ create, globals }: Dawn): void {
  Object.assign(globalThis, globals);
  // Node 20 has no navigator; later ones have one without gpu.
  const navigator = { gpu: create(DAWN_OPTIONS), userAgent: 'Node.js' };
  Object.defineProperty(globalThis, 'navigator', { value: navigator, configurable: true, writable: true });
}
