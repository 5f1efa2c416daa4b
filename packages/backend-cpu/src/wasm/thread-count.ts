/** How many threads the WebAssembly tiers of this thread of JavaScript compute with, and why not more. */
import { availableThreads } from '../native/load.js';
import type { Helpers } from './helpers.js';
import { isNode } from './workers.js';

/** A browser's count includes slow cores and pairs that share one, and the page has work too. */
const MOST_IN_BROWSER = 8;

/** How many threads a tier computes with. */
export interface ThreadStatus {
  /** The calling one among them. */
  threads: number;
  /** Why not as many as it should, or null. */
  reason: string | null;
}

let chosen: number | null = null;
/** Of all modules that live: the tier, and when the first helpers were asked for. */
const pools = new Map<Helpers, { tier: string; begun: Promise<void> }>();

/** What was chosen, else as many as this process may use, or the browser says that the machine has. */
async function threadsWanted(): Promise<number> {
  if (chosen !== null) return chosen;
  if (isNode()) return availableThreads();
  return Math.max(1, Math.min(MOST_IN_BROWSER, globalThis.navigator?.hardwareConcurrency ?? 1));
}

/** Lets a module of a tier have helpers, now and whenever the number changes, until `removeHelpers`. */
export function addHelpers(tier: string, helpers: Helpers): void {
  const begun = threadsWanted().then((threads) => void helpers.resize(threads, false));
  pools.set(helpers, { tier, begun });
}

export function removeHelpers(helpers: Helpers): void {
  pools.delete(helpers);
  helpers.dispose();
}

/** For all modules, those to come too. */
export async function setWasmThreads(threads: number): Promise<void> {
  chosen = threads;
  await Promise.all([...pools.keys()].map((helpers) => helpers.resize(threads, true)));
}

/**
 * Of the module of a tier that was made last; without one, what it would be.
 *
 * @param wait for helpers that are starting
 */
export async function wasmThreadStatus(tier: string, wait: boolean): Promise<ThreadStatus> {
  const wanted = await threadsWanted();
  const [found] = [...pools].reverse().filter(([, pool]) => pool.tier === tier);
  if (!found) return { threads: wanted, reason: null };
  const [helpers, { begun }] = found;
  if (wait) await begun.then(() => helpers.settle());
  const { threads, failure } = helpers;
  if (failure !== null || threads >= wanted) return { threads, reason: failure };
  return {
    threads,
    reason: `${wanted - threads} more ${wanted - threads === 1 ? 'has' : 'have'} not started yet`,
  };
}

let missing: string | null | undefined;

/** Why there can be no threads here, or null. */
export function reasonAgainstThreads(): string | null {
  // Null is an answer: looking again would reserve another shared memory each time.
  if (missing === undefined) missing = findReason();
  return missing;
}

function findReason(): string | null {
  const scope = globalThis as { crossOriginIsolated?: boolean; Worker?: unknown };
  if (scope.crossOriginIsolated === false) {
    return 'browsers share memory only in pages that are cross-origin isolated, as the headers Cross-Origin-Opener-Policy: same-origin and Cross-Origin-Embedder-Policy: require-corp make them';
  }
  if (typeof SharedArrayBuffer !== 'function') return 'this JavaScript engine has no SharedArrayBuffer';
  if (!isNode() && typeof scope.Worker !== 'function') return 'workers cannot be started here';
  try {
    const { buffer } = new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true });
    if (!(buffer instanceof SharedArrayBuffer)) return 'this engine has no shared WebAssembly memory';
  } catch (error) {
    return `this engine has no shared WebAssembly memory (${(error as Error).message})`;
  }
  return null;
}

/** Pages (64 KiB) that a shared memory may grow to. The first is what addresses reach; engines that reserve it all may have less. */
const MOST_PAGES = [65536, 32768, 16384, 8192] as const;

/** @throws RangeError where not even the least can be reserved */
export function sharedMemory(): WebAssembly.Memory {
  let refusal: unknown;
  for (const maximum of MOST_PAGES) {
    try {
      return new WebAssembly.Memory({ initial: 2, maximum, shared: true });
    } catch (error) {
      refusal = error;
    }
  }
  throw refusal;
}

/** Whether this thread may be put to sleep; a browser's main thread may not. */
export function mayWait(): boolean {
  try {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 0);
    return true;
  } catch {
    return false;
  }
}
