/** What the probes share: the native tier, a network, its plan. */
import * as cpu from '@dsconv/backend-cpu';
import { compile, getDSConvBackend } from '@dsconv/core';
import { setBackend, tensor4d } from '@tensorflow/tfjs-core';
import { CHANNELS, randomPictures, SIZE } from '../input.mjs';

/** @throws Error with the reason where the tier is not available */
export async function useNative(threads) {
  const name = getDSConvBackend(cpu.BACKEND_NAME).pinTier('native');
  const found = await getDSConvBackend(name).probe();
  if (found !== true) throw new Error(found.reason);
  await setBackend(name);
  await cpu.setThreads(threads);
}

export const picture = () => tensor4d(randomPictures(1), [1, SIZE, SIZE, CHANNELS]);

/** The network's plan for one picture. @throws Error naming the operation that does not compile */
export async function planOf(network, x) {
  const plan = await compile((input) => network.logits(input), x);
  if (plan.mode !== 'compiled') throw new Error(`the network does not compile: ${plan.reason}`);
  return plan.compiled;
}

/** Resident bytes after garbage collection. */
export async function resident() {
  for (let n = 0; n < 4; n++) {
    globalThis.gc();
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return process.memoryUsage.rss();
}
