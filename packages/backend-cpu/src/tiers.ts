/** The implementations inside `dsconv-cpu`, best first, and how to load them. */
import { BackendUnavailableError, type TierStatus } from '@dsconv/core';
import { loadNative, nativeRemark } from './native/load.js';
import type { DSConvWasm } from './wasm/interface.js';

export const TIERS = ['native', 'wasm-relaxed-simd', 'wasm-simd', 'js'] as const;
export type CpuTier = (typeof TIERS)[number];
export type WasmTier = Exclude<CpuTier, 'native' | 'js'>;

/** Where a module comes from: an address to fetch, or its bytes. */
export type WasmSource = string | URL | BufferSource;

const sources = new Map<WasmTier, WasmSource>();
const compiled = new Map<WasmTier, Promise<WebAssembly.Module>>();

/**
 * Overrides where the WebAssembly modules are loaded from, for bundlers and servers that move them. Call it before the backend is
 * created. By default they are found beside this package by `new URL(…, import.meta.url)`.
 */
export function setWasmSource(tier: WasmTier, source: WasmSource): void {
  sources.set(tier, source);
  compiled.delete(tier);
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
    await compileTier(tier);
    return { tier, available: true };
  } catch (error) {
    return { tier, available: false, reason: reasonOf(error) };
  }
}

/** A fresh instance of a module, with a memory of its own. */
export async function instantiateTier(tier: WasmTier): Promise<DSConvWasm> {
  const instance = await WebAssembly.instantiate(await compileTier(tier), {});
  return instance.exports as unknown as DSConvWasm;
}

function compileTier(tier: WasmTier): Promise<WebAssembly.Module> {
  let module = compiled.get(tier);
  if (!module) {
    module = loadAndCompile(tier);
    compiled.set(tier, module);
  }
  return module;
}

async function loadAndCompile(tier: WasmTier): Promise<WebAssembly.Module> {
  if (typeof WebAssembly !== 'object') throw new Error('this JavaScript engine has no WebAssembly');
  if (tier === 'wasm-relaxed-simd') await enableRelaxedSimd();
  const bytes = await loadBytes(sources.get(tier) ?? defaultSource(tier));
  try {
    return await WebAssembly.compile(bytes);
  } catch (error) {
    const feature = tier === 'wasm-simd' ? 'SIMD' : 'relaxed SIMD';
    throw new Error(`this engine cannot compile WebAssembly with ${feature}: ${reasonOf(error)}`);
  }
}

/** Literal addresses, so that bundlers see and copy the files. */
function defaultSource(tier: WasmTier): URL {
  return tier === 'wasm-simd'
    ? new URL('../wasm/build/dsconv-simd.wasm', import.meta.url)
    : new URL('../wasm/build/dsconv-relaxed.wasm', import.meta.url);
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

function isNode(): boolean {
  return typeof process !== 'undefined' && process.versions?.node !== undefined;
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
