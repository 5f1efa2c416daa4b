import { InvalidArgumentError } from '@dsconv/core';
import { loadNative } from './native/load.js';
import { type CpuTier, TIERS, tierStatus, tierThreads } from './tiers.js';
import { setWasmThreads, type ThreadStatus } from './wasm/thread-count.js';

export type { ThreadStatus };

/**
 * Sets how many threads the tiers compute with: the native one for every backend and plan of the process, the WebAssembly ones for those of
 * this thread of JavaScript. They start with as many as this process may use; in browsers with as many as the machine has cores, 8 at most.
 * Results do not depend on it. Where threads cannot be had, kernels compute on the calling one, and {@link threadStatus} says why.
 *
 * @returns when that many compute, or it is known why not
 * @throws InvalidArgumentError when `n` is no integer from 1 to 256
 */
export async function setThreads(n: number): Promise<void> {
  if (!Number.isInteger(n) || n < 1 || n > 256) {
    throw new InvalidArgumentError(`n is ${n}; expected an integer from 1 to 256`);
  }
  const native = await loadNative().catch(() => null);
  native?.setThreads(n);
  await setWasmThreads(n);
}

/** Threads that a tier computes with now, or would if it were in use. Without one: the best tier that can run here. */
export async function getThreads(tier?: CpuTier): Promise<number> {
  return (await statusOf(tier ?? (await bestTier()), false)).threads;
}

/** Threads of a tier, as {@link getThreads} has them once those that are starting are there, and why they are not as many as they should be. */
export async function threadStatus(tier?: CpuTier): Promise<ThreadStatus> {
  return await statusOf(tier ?? (await bestTier()), true);
}

async function statusOf(tier: CpuTier, wait: boolean): Promise<ThreadStatus> {
  if (tier === 'js') return { threads: 1, reason: 'the js tier computes on the calling thread' };
  if (tier !== 'native') return await tierThreads(tier, wait);
  try {
    return { threads: (await loadNative()).getThreads(), reason: null };
  } catch (error) {
    return { threads: 1, reason: `the native tier is not here: ${(error as Error).message}` };
  }
}

async function bestTier(): Promise<CpuTier> {
  for (const tier of TIERS) if ((await tierStatus(tier)).available) return tier;
  return 'js';
}
