/** The implementations inside `dsconv-cpu`, best first, and how to load them. */
import { BackendUnavailableError, type TierStatus } from '@dsconv/core';
import { loadNative, nativeRemark } from './native/load.js';
import { instantiate, instantiateShared, type WasmInstance } from './wasm/instance.js';
import { reasonAgainstThreads, type ThreadStatus, wasmThreadStatus } from './wasm/thread-count.js';
import { isNode } from './wasm/workers.js';

export const TIERS = ['native', 'wasm-relaxed-simd', 'wasm-simd', 'js'] as const;
export type CpuTier = (typeof TIERS)[number];
export type WasmTier = Exclude<CpuTier, 'native' | 'js'>;

/** Where a module comes from: an address to fetch, or its bytes. */
export type WasmSource = string | URL | BufferSource;

/** Each tier has two modules: the one with threads has a shared memory and is taken wherever that can be had. */
type ModuleName = WasmTier | `${WasmTier}, threads`;

const sources = new Map<ModuleName, WasmSource>();
const compiled = new Map<ModuleName, Promise<WebAssembly.Module>>();

/**
 * Overrides where the WebAssembly modules are loaded from, for bundlers and servers that move them. Call it before the backend is
 * created. By default they are found beside this package by `new URL(…, import.meta.url)`.
 *
 * @param options.threads the source is of the module with threads; a tier for which only the other one is given computes on one thread
 */
export function setWasmSource(
  tier: WasmTier,
  source: WasmSource,
  { threads = false }: { threads?: boolean } = {},
): void {
  const name: ModuleName = threads ? `${tier}, threads` : tier;
  sources.set(name, source);
  compiled.delete(name);
}

/** The tier forced by the environment variable `DSCONV_CPU_TIER`, or null. */
export function forcedTier(): CpuTier | null {
  const value = typeof process === 'undefined' ? undefined : process.env?.DSCONV_CPU_TIER;
  if (!value) return null;
  if (!TIERS.includes(value as CpuTier)) {
    throw new BackendUnavailableError(`DSCONV_CPU_TIER is '${value}'; expected one of ${TIERS.join(', ')}`);
  }
  return value as CpuTier;
}

/** Whether a tier can run here, without creating a backend. */
export async function tierStatus(tier: CpuTier): Promise<TierStatus> {
  if (tier === 'js') return { tier, available: true };
  try {
    if (tier === 'native') {
      const native = await loadNative();
      const threads = native.getThreads();
      const remark = nativeRemark();
      const what = `instruction set ${native.isa}, ${threads} thread${threads === 1 ? '' : 's'}`;
      return { tier, available: true, reason: remark ? `${what}; ${remark}` : what };
    }
    if (threadsAreMissing(tier) === null) await compileModule(`${tier}, threads`);
    else await compileModule(tier);
    const { threads, reason } = await tierThreads(tier, true);
    const what = `${threads} thread${threads === 1 ? '' : 's'}`;
    return { tier, available: true, reason: reason ? `${what}: ${reason}` : what };
  } catch (error) {
    return { tier, available: false, reason: reasonOf(error) };
  }
}

/** Why a tier's module with threads is not taken, or null. */
function threadsAreMissing(tier: WasmTier): string | null {
  const reason = reasonAgainstThreads();
  if (reason !== null) return reason;
  const onlyOther = sources.has(tier) && !sources.has(`${tier}, threads`);
  return onlyOther ? 'setWasmSource was given no module with threads' : (unshared.get(tier) ?? null);
}

/** Threads that a WebAssembly tier computes with, or would; `wait` for those that are starting. */
export async function tierThreads(tier: WasmTier, wait: boolean): Promise<ThreadStatus> {
  const reason = threadsAreMissing(tier);
  return reason === null ? await wasmThreadStatus(tier, wait) : { threads: 1, reason };
}

/** Tiers for which no shared memory could be had, and why. */
const unshared = new Map<WasmTier, string>();

/** A fresh instance of a tier's module, with a memory of its own: shared with helper threads where that can be, else not. */
export async function instantiateTier(tier: WasmTier): Promise<WasmInstance> {
  if (threadsAreMissing(tier) === null) {
    const module = await compileModule(`${tier}, threads`);
    try {
      return await instantiateShared(module);
    } catch (error) {
      unshared.set(tier, `no shared memory could be had: ${reasonOf(error)}`);
    }
  }
  return await instantiate(await compileModule(tier));
}

function compileModule(name: ModuleName): Promise<WebAssembly.Module> {
  let module = compiled.get(name);
  if (!module) {
    module = loadAndCompile(name);
    compiled.set(name, module);
  }
  return module;
}

async function loadAndCompile(name: ModuleName): Promise<WebAssembly.Module> {
  if (typeof WebAssembly !== 'object') throw new Error('this JavaScript engine has no WebAssembly');
  const isRelaxed = name.startsWith('wasm-relaxed-simd');
  if (isRelaxed) await enableRelaxedSimd();
  const bytes = await loadBytes(sources.get(name) ?? defaultSource(name));
  try {
    return await WebAssembly.compile(bytes);
  } catch (error) {
    const feature = isRelaxed ? 'relaxed SIMD' : 'SIMD';
    throw new Error(`this engine cannot compile WebAssembly with ${feature}: ${reasonOf(error)}`);
  }
}

/** Literal addresses, so that bundlers see and copy the files. */
function defaultSource(name: ModuleName): URL {
  switch (name) {
    case 'wasm-simd':
      return new URL('../wasm/build/dsconv-simd.wasm', import.meta.url);
    case 'wasm-simd, threads':
      return new URL('../wasm/build/dsconv-simd-threads.wasm', import.meta.url);
    case 'wasm-relaxed-simd':
      return new URL('../wasm/build/dsconv-relaxed.wasm', import.meta.url);
    case 'wasm-relaxed-simd, threads':
      return new URL('../wasm/build/dsconv-relaxed-threads.wasm', import.meta.url);
  }
}

async function loadBytes(source: WasmSource): Promise<BufferSource> {
  if (typeof source !== 'string' && !(source instanceof URL)) return source;
  const url = String(source);
  if (isNode() && !/^https?:/.test(url)) {
    const { readFile } = await import(/* @vite-ignore */ /* webpackIgnore: true */ 'node:fs/promises');
    return await readFile(url.startsWith('file:') ? new URL(url) : url);
  }
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${url} answered with status ${response.status}`);
  return await response.arrayBuffer();
}

/** Node 20 has relaxed SIMD behind a flag of V8 that may be set at any time before the module is compiled; later versions have it on. */
async function enableRelaxedSimd(): Promise<void> {
  if (!isNode() || Number(process.versions.node.split('.')[0]) > 20) return;
  const v8 = await import(/* @vite-ignore */ /* webpackIgnore: true */ 'node:v8');
  v8.setFlagsFromString('--experimental-wasm-relaxed-simd');
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
