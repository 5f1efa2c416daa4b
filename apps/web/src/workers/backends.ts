/** Which backends there are for the quantized and for the float network, and how to make one current. */
import { BACKEND_NAME as CPU, type CpuTier, getThreads, threadStatus } from '@dsconv/backend-cpu';
import {
  BackendUnavailableError,
  type DSConvBackend,
  getDSConvBackend,
  listDSConvBackends,
  type Support,
  selectBackend,
} from '@dsconv/core';
import plainWasm from '@tensorflow/tfjs-backend-wasm/dist/tfjs-backend-wasm.wasm?url';
import simdWasm from '@tensorflow/tfjs-backend-wasm/dist/tfjs-backend-wasm-simd.wasm?url';
import threadedWasm from '@tensorflow/tfjs-backend-wasm/dist/tfjs-backend-wasm-threaded-simd.wasm?url';
import { env, setBackend } from '@tensorflow/tfjs-core';
import type { BackendChoice, Threads, Which } from './api.js';
import { inThreads } from './in-threads.js';

/** Backends of TensorFlow.js that run the float network for comparison. */
const FLOAT_BACKENDS: Readonly<Record<string, { title: string; load: () => Promise<unknown> }>> = {
  wasm: { title: 'TensorFlow.js WASM', load: loadWasm },
  webgpu: { title: 'TensorFlow.js WebGPU', load: loadPackages },
  cpu: { title: 'TensorFlow.js JavaScript', load: async () => undefined },
};

/** TensorFlow.js' and DSConv's backend are one. */
const GPU = 'webgpu';

/** The tier that no browser has. */
const NATIVE = 'native';

const DSCONV_TITLES: Readonly<Record<string, string>> = { [CPU]: 'CPU', webgpu: 'WebGPU' };

let loading: Promise<unknown> | null = null;

/** Everything that registers DSConv backends, the CPU's being there already. */
function loadPackages(): Promise<unknown> {
  loading ??= import('@dsconv/backend-webgpu');
  return loading;
}

/** All of them; those that cannot run here have a reason. A GPU is only asked for: testing its shaders, which may take seconds, waits until it is chosen. */
export async function listBackends(): Promise<BackendChoice[]> {
  await loadPackages();
  const choices: BackendChoice[] = [];
  for (const name of listDSConvBackends()) {
    if (name.includes('/')) continue;
    const backend = getDSConvBackend(name)!;
    const title = DSCONV_TITLES[name] ?? name;
    const support = await (name === GPU ? webGpuSupport() : backend.probe());
    choices.push({ name, runs: 'quantized', ...availability(support), ...(await describe(title, backend)) });
    if (!backend.pinTier) continue;
    const tiers = (await backend.tiers()).filter(({ tier }) => tier !== NATIVE);
    for (const { tier, available, reason = null } of tiers) {
      const threads = name === CPU && available ? await threadsOf(tier) : null;
      choices.push({
        name: `${name}/${tier}`,
        title: `${title}: ${tier}${inWords(threads)}`,
        runs: 'quantized',
        available,
        reason,
        threads,
      });
    }
  }
  for (const [name, { title }] of Object.entries(FLOAT_BACKENDS)) {
    const support = name === GPU ? await webGpuSupport() : true;
    choices.push({ name, title, runs: 'float', ...availability(support), threads: null });
  }
  return choices;
}

/** What a backend would run on if it were chosen; of the CPU that is its best tier, and how many threads that has. */
async function describe(
  title: string,
  backend: DSConvBackend,
): Promise<Pick<BackendChoice, 'title' | 'threads'>> {
  if (backend.name !== CPU) return { title, threads: null };
  const tier = backend.activeTier() ?? (await backend.tiers()).find(({ available }) => available)?.tier;
  if (tier === undefined) return { title, threads: null };
  const threads = await threadsOf(tier);
  return {
    title: `${title}, ${tier === 'js' ? 'JavaScript' : 'WebAssembly'}${inWords(threads)}`,
    threads,
  };
}

/** Null for a tier without threads. */
async function threadsOf(tier: string): Promise<Threads | null> {
  if (tier === 'js') return null;
  const { threads, reason } = await threadStatus(tier as CpuTier);
  return { count: threads, reason };
}

const inWords = (threads: Threads | null): string => (threads ? ` (${inThreads(threads.count)})` : '');

/** Threads that a backend that has run computes with at present, or null where it has none. `tier`: of DSConv's. */
export async function threadsInUse(backend: string, tier: string | null): Promise<number | null> {
  if (backend === 'wasm') return tensorflowWasm?.getThreadsCount() ?? null;
  if (tier === null || tier === 'js' || backend.split('/')[0] !== CPU) return null;
  return await getThreads(tier as CpuTier);
}

function availability(support: Support): Pick<BackendChoice, 'available' | 'reason'> {
  return support === true ? { available: true, reason: null } : { available: false, reason: support.reason };
}

async function webGpuSupport(): Promise<Support> {
  const { gpu } = navigator as { gpu?: { requestAdapter(): Promise<unknown> } };
  if (!gpu) return { reason: 'this browser has no WebGPU' };
  const adapter = await gpu.requestAdapter().catch(() => null);
  return adapter ? true : { reason: 'there is no GPU that this browser would use' };
}

/**
 * Makes a backend the current one of TensorFlow.js.
 *
 * @returns the tier in use inside it, where it has some
 * @throws BackendUnavailableError with the reason
 */
export async function useBackend(which: Which, name: string): Promise<string | null> {
  return which === 'quantized' ? useDSConv(name) : useFloat(name);
}

async function useDSConv(name: string): Promise<string | null> {
  if (!getDSConvBackend(name)) await loadPackages();
  const [base, tier] = name.split('/') as [string, string | undefined];
  if (tier !== undefined && !listDSConvBackends().includes(name)) getDSConvBackend(base)?.pinTier?.(tier);
  return (await selectBackend([name])).tier;
}

async function useFloat(name: string): Promise<null> {
  const backend = FLOAT_BACKENDS[name];
  if (!backend) {
    throw new BackendUnavailableError(
      `backend '${name}' is not known; expected one of ${Object.keys(FLOAT_BACKENDS).join(', ')}`,
    );
  }
  await backend.load();
  // Takes a device that was lost out of the way.
  await getDSConvBackend(name)?.probe();
  if (!(await setBackend(name))) {
    throw new BackendUnavailableError(`TensorFlow.js could not start its backend '${name}' in this browser`);
  }
  return null;
}

/** TensorFlow.js' WebAssembly, once it is loaded. */
let tensorflowWasm: typeof import('@tensorflow/tfjs-backend-wasm') | null = null;

/** Where the page is isolated, on as many threads as TensorFlow.js takes: half of those that it is offered. */
async function loadWasm(): Promise<void> {
  const wasm = await import('@tensorflow/tfjs-backend-wasm');
  // Its threads are workers of its own source text, which only the build provides (vite.config.ts).
  if (!crossOriginIsolated || import.meta.env.DEV) env().set('WASM_HAS_MULTITHREAD_SUPPORT', false);
  wasm.setWasmPaths({
    'tfjs-backend-wasm.wasm': plainWasm,
    'tfjs-backend-wasm-simd.wasm': simdWasm,
    'tfjs-backend-wasm-threaded-simd.wasm': threadedWasm,
  });
  tensorflowWasm = wasm;
}
